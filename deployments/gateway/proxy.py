"""Prefect's pages, API and websockets behind our logins and roles; its own auth string is added here alone.

Whatever no route of ours answers comes here. A request passes when its path has one reading, its row in the table of
routes names a right that the caller has, and nothing in its body runs code that he may not run.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from yarl import URL

from config.places import Places
from config.settings import Gateway
from deployments.gateway import opened, paths, prefect_bodies, prefect_routes, sign_in
from deployments.gateway.limits import Limits
from deployments.gateway.paths import Address
from deployments.gateway.prefect_auth import PrefectAuth
from deployments.gateway.prefect_routes import Route
from deployments.gateway.prefect_sockets import Sockets
from deployments.gateway.problems import ProblemError
from tasks.domain.roles import Actor, Permission
from tasks.operations import prefect_requests

PAGES = "/v2/"
PREFECTS = ("/api/", PAGES)
OURS = "/api/v1/"
STATIC = ("/v2/", "/api/static/")
UI_SETTINGS = "/ui-settings"
ADMIN_SETTINGS = "GET /api/admin/settings"
UPCOMING = "POST /api/work_queues/{id:uuid}/get_runs"
SET_STATE = "POST /api/flow_runs/{id:uuid}/set_state"
SIGN_IN_PAGE = "/login"
# Prefect's command line writes addresses of its older pages.
OLD_PAGES = frozenset(
    "artifacts automations blocks concurrency-limits dashboard deployments events flow-runs flows runs settings"
    " variables work-pools".split()
)

CONNECT_SECONDS = 3.0
# Prefect's server closes idle connections after 5 s; a request on one that is just being closed would be lost.
IDLE_SECONDS = 3.0
CONNECTIONS = 200
RETRY_SECONDS = 2

# What a browser or client may tell Prefect, and what Prefect may tell it; cookies are ours and stay here.
TO_PREFECT = frozenset(
    {
        "accept",
        "accept-encoding",
        "if-modified-since",
        "if-none-match",
        "prefect-csrf-client",
        "prefect-csrf-token",
        "range",
        "traceparent",
        "user-agent",
        "x-prefect-api-version",
        "x-prefect-ui",
        "x-prefect-worker-id",
        "x-prefect-worker-name",
    }
)
FROM_PREFECT = frozenset(
    {
        "accept-ranges",
        "content-disposition",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "location",
        "vary",
    }
)
HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")

# The pages compile templates at run time and start workers from blobs; they get nothing from anywhere else. The
# analytics and logos of third parties that they ask for are what this stops.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; base-uri 'self';"
    " form-action 'self'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"


class Sorted:
    """ASGI middleware: addresses that can be Prefect's alone go to it without a look at each route of ours."""

    def __init__(self, app: ASGIApp, prefect: ASGIApp) -> None:
        self._app = app
        self._prefect = prefect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on one request, websocket or lifespan."""
        path = scope.get("path", "")
        theirs = path.startswith(PREFECTS) and not path.startswith(OURS)
        await (self._prefect if theirs else self._app)(scope, receive, send)


class PrefectAwayError(ProblemError):
    """Prefect's server gave no answer; the status says how."""

    def __init__(self, status: int, why: str) -> None:
        detail = f"Prefect's server {why}: `vivesphere status` shows whether it runs"
        super().__init__(status, "prefect-away", detail, {"Retry-After": str(RETRY_SECONDS)})


class Proxy:
    """ASGI application for everything that is Prefect's; opened once for the life of the gateway."""

    def __init__(self, places: Places, limits: Limits, settings: Callable[[], Gateway]) -> None:
        self._places = places
        self._settings = settings
        self._auth = PrefectAuth(places)
        self._limits = limits
        self._client: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep connections to Prefect's server."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
            # One caller's cookies would travel with another's request.
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=CONNECT_SECONDS,
                sock_read=self._places.settings.gateway.prefect_answer_seconds,
            ),
            auto_decompress=False,
            trust_env=False,
        ) as self._client:
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        if scope["type"] == "websocket":
            recheck_seconds = self._settings().recheck_seconds
            await Sockets(self._client_open(), self._auth, self._base(), recheck_seconds)(scope, receive, send)
            return
        answer = await self._answer(Request(scope, receive), send)
        if answer is not None:
            await answer(scope, receive, send)

    def _base(self) -> str:
        return self._places.prefect.removesuffix("/api")

    def _client_open(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise RuntimeError("the proxy is not open")
        return self._client

    async def _answer(self, request: Request, send: Send) -> Response | None:
        """An answer of our own, or None once Prefect's was passed on."""
        address = paths.clean(request.scope["raw_path"], request.scope["query_string"])
        if address.path == UI_SETTINGS and request.method == "GET":
            return JSONResponse(_ui_settings())
        if address.path == PAGES.rstrip("/") and request.method == "GET":
            return RedirectResponse(PAGES, 307)
        routes = prefect_routes.find(request.method, address.path)
        if not routes:
            if _is_page(request) and address.path.split("/")[1] in OLD_PAGES:
                return RedirectResponse(f"/v2{address.target}", 307)
            raise _not_found(address.path)
        if any("closed" in route.classes for route in routes):
            raise ProblemError(404, "not-found", "this page of Prefect's is closed; ours are at /docs")
        if all(route.classes == {"public"} for route in routes):
            return await self._forward(request, address, routes[0], b"", {}, send)
        reads = all(route.reads for route in routes)
        try:
            actor = await sign_in.identify(opened.running(request), request.scope, fresh=not reads)
        except ProblemError as error:
            if error.status == 401 and address.path.startswith(PAGES) and _is_page(request):
                return RedirectResponse(f"{SIGN_IN_PAGE}?next={address.raw}", 303)
            raise
        missing = next((missing for route in routes if (missing := _missing(actor, route))), None)
        if missing is not None:
            await prefect_requests.refused(opened.connections(request), actor, missing, request.method, address.path)
            raise ProblemError(403, "not-allowed", f"{actor.name} lacks the permission {missing} for everything")
        left = None if address.path.startswith(STATIC) else await self._limits.take(actor, reads=reads)
        body = await self._body(request, routes, actor, address)
        if not reads and not _is_worker(actor):
            # Before it is passed on: nothing happens that is not written down.
            await prefect_requests.passed_on(
                opened.connections(request), actor, _needed(routes[0]), request.method, address.path
            )
        extra = dict(left.headers) if left else {}
        return await self._forward(request, address, routes[0], body, extra, send, as_page=not _is_worker(actor))

    async def _body(self, request: Request, routes: Sequence[Route], actor: Actor, address: Address) -> bytes:
        """What may be passed on of the body, written anew."""
        if request.method not in ("POST", "PUT", "PATCH"):
            return b""
        body = prefect_bodies.read(await _content(request))
        admin, worker = actor.may("prefect.admin"), _is_worker(actor)
        try:
            for route in routes:
                body = prefect_bodies.checked(route, body, admin=admin, worker=worker)
            if not admin and any(route.name == SET_STATE for route in routes):
                await self._may_go_on(body, address)
        except ProblemError as error:
            await prefect_requests.refused(
                opened.connections(request), actor, _needed(routes[0]), request.method, address.path, error.problem
            )
            raise
        return prefect_bodies.write(body)

    async def _may_go_on(self, body: Any, address: Address) -> None:
        """A paused run waits for somebody's approval: a new state must not set it going in its stead."""
        wanted = ((body or {}).get("state") or {}).get("type")
        if wanted not in prefect_bodies.GOES_ON:
            return
        async with self._ask("GET", address.raw.removesuffix("/set_state"), {}, b"") as found:
            state = json.loads(await found.read()).get("state_type") if found.status == 200 else None
        if state == "PAUSED":
            detail = "the run waits for an approval: who may approve resumes it"
            raise ProblemError(403, "resume-instead", detail)

    async def _forward(
        self,
        request: Request,
        address: Address,
        route: Route,
        body: bytes,
        extra: Mapping[str, str],
        send: Send,
        as_page: bool = False,
    ) -> Response | None:
        headers = {name: value for name, value in request.headers.items() if name in TO_PREFECT}
        headers["Host"] = _host(request.headers)
        headers["X-Forwarded-Proto"] = request.scope["scheme"]
        if body:
            headers["Content-Type"] = "application/json"
        if as_page and route.name == UPCOMING:
            # Else the queue counts as polled by a worker.
            headers["X-Prefect-UI"] = "true"
        if route.name == ADMIN_SETTINGS:
            headers["accept-encoding"] = "identity"
        async with self._ask(request.method, address.target, headers, body, again=route.reads) as found:
            if found.status == 401:
                raise PrefectAwayError(503, "does not take our auth string, which is new at each `up`")
            passed = {**_passed(found.headers), **_ours(address.path), **extra}
            if route.name == ADMIN_SETTINGS and found.status == 200:
                return Response(
                    json.dumps(_without_values(json.loads(await found.read()))),
                    media_type="application/json",
                    headers={**_ours(address.path), **extra},
                )
            await _stream(found, passed, request.method, send)
        return None

    @asynccontextmanager
    async def _ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, again: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Prefect's answer; asked once more where nothing can happen twice. Raises PrefectAwayError."""
        url = URL(f"{self._base()}{target}", encoded=True)
        # Without it the client would add its own, and hand on what nobody asked for.
        signed = {"accept-encoding": "identity", **headers, **self._auth.headers()}
        for once_more in (again, False):
            try:
                found = await self._request(method, url, signed, body)
                break
            except aiohttp.ServerDisconnectedError:
                if not once_more:
                    raise PrefectAwayError(502, "closed the connection without an answer") from None
        async with found:
            yield found

    async def _request(self, method: str, url: URL, headers: Mapping[str, str], body: bytes) -> aiohttp.ClientResponse:
        try:
            return await self._client_open().request(
                method, url, headers=headers, data=body or None, allow_redirects=False
            )
        except aiohttp.ServerDisconnectedError:
            raise
        except TimeoutError:
            raise PrefectAwayError(504, "did not answer in time") from None
        except aiohttp.ClientConnectorError:
            raise PrefectAwayError(503, "does not run, or does not answer yet") from None
        except (aiohttp.ClientError, OSError) as error:
            raise PrefectAwayError(502, f"did not give an answer that can be read ({type(error).__name__})") from None


async def _stream(found: aiohttp.ClientResponse, headers: Mapping[str, str], method: str, send: Send) -> None:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": found.status, "headers": raw})
    if method != "HEAD":
        async for chunk in found.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _content(request: Request) -> bytes:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    taken = bytearray()
    async for chunk in request.stream():
        taken += chunk
        if len(taken) > prefect_bodies.BODY_BYTES_MAX:
            raise ProblemError(413, "too-long", f"a body holds at most {prefect_bodies.BODY_BYTES_MAX:,} bytes")
    if taken and kind != "application/json":
        raise ProblemError(415, "not-json", "send the body as application/json")
    return bytes(taken)


def _missing(actor: Actor, route: Route) -> Permission | None:
    """The right that the caller lacks for a row; None where he has it."""
    rights = [_RIGHTS[word] for word in sorted(route.classes)]
    return None if any(actor.may_everywhere(right) for right in rights) else rights[0]


_RIGHTS: Mapping[str, Permission] = {
    "read": "prefect.read",
    "operate": "prefect.operate",
    "approve": "prefect.approve",
    "worker": "prefect.worker",
    "admin": "prefect.admin",
}


def _needed(route: Route) -> Permission:
    return _RIGHTS[min(route.classes)]


def _is_worker(actor: Actor) -> bool:
    return actor.may("prefect.worker") and not actor.may("prefect.admin")


def _not_found(path: str) -> ProblemError:
    others = prefect_routes.methods(path)
    if others:
        return ProblemError(405, "method-not-allowed", "this address takes other methods", {"Allow": ", ".join(others)})
    return ProblemError(404, "not-found", "there is nothing at this address")


def _is_page(request: Request) -> bool:
    """True where a person opened an address: he is asked to sign in, where a program is told to."""
    headers = request.headers
    navigates = headers.get("sec-fetch-mode") == "navigate" or "text/html" in headers.get("accept", "")
    return request.method == "GET" and navigates


def _host(headers: Headers) -> str:
    """The address by which the caller knows us: Prefect writes it into the links of its answers."""
    host = headers.get("host", "")
    if not HOST.fullmatch(host):
        raise ProblemError(400, "bad-address", "the Host header names no host")
    return host


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in FROM_PREFECT}


def _ours(path: str) -> dict[str, str]:
    page = path.startswith(PAGES)
    found = {
        "Content-Security-Policy": PAGE_POLICY if page else DATA_POLICY,
        "X-Frame-Options": "DENY",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if path.startswith("/v2/assets/"):
        # Their names change with their content.
        found["Cache-Control"] = "private, max-age=31536000, immutable"
    return found


def _ui_settings() -> dict[str, Any]:
    """What Prefect's pages ask first. `auth` null: who is here has signed in with us."""
    return {
        "api_url": "/api",
        "csrf_enabled": False,
        "auth": None,
        "flags": [],
        "default_ui": "v2",
        "available_uis": ["v2"],
        "v1_base_url": None,
        "v2_base_url": "/v2",
    }


def _without_values(settings: Any) -> Any:
    """Prefect's settings without a word that somebody wrote: some hold credentials, such as headers and addresses."""
    if isinstance(settings, dict):
        return {key: {} if key == "custom_headers" else _without_values(value) for key, value in settings.items()}
    if isinstance(settings, list):
        return []
    return "********" if isinstance(settings, str) else settings
