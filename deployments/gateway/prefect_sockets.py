"""Prefect's websockets: events and logs for who looks, and what workers say.

Prefect reads credentials in the first message. Ours are taken out of it, and Prefect's own auth string goes in. Who is
at the other end is asked again every few seconds, because a websocket outlives a session.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from yarl import URL

from deployments.gateway import opened, origins, paths, prefect_bodies, prefect_routes, sign_in
from deployments.gateway.prefect_auth import PrefectAuth
from deployments.gateway.prefect_routes import Route
from deployments.gateway.problems import ProblemError
from tasks.domain.roles import Permission
from tasks.operations import prefect_requests
from tasks.operations.access import Recognised

SUBPROTOCOL = "prefect"
FIRST_MESSAGE_SECONDS = 10.0
CONNECT_SECONDS = 5.0
# Sockets whose other end has not said yet who it is.
STRANGERS = 100
MESSAGE_BYTES_MAX = 4_000_000

REFUSED = 1008
AWAY = 1013

log = logging.getLogger("vivesphere.debug")
_strangers = 0


class _Refused(Exception):
    """The socket is closed with this code and word."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Sockets:
    """ASGI application for websockets."""

    def __init__(self, client: aiohttp.ClientSession, auth: PrefectAuth, base: str, recheck_seconds: float) -> None:
        self._client = client
        self._auth = auth
        self._base = URL(base)
        self._recheck_seconds = recheck_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one websocket to its end."""
        socket = WebSocket(scope, receive, send)
        await socket.receive()
        try:
            address = paths.clean(scope["raw_path"], scope["query_string"])
            routes = prefect_routes.find(prefect_routes.WEBSOCKET, address.path)
            if len(routes) != 1:
                raise _Refused(REFUSED, "there is no websocket at this address")
            _check_origin(scope)
            if SUBPROTOCOL not in scope.get("subprotocols", ()):
                raise _Refused(REFUSED, "the subprotocol 'prefect' is needed")
            await socket.accept(subprotocol=SUBPROTOCOL)
            asking = await _first_message(socket)
            found = await asking()
            if found is None:
                raise _Refused(REFUSED, "sign in: the key or session is not, or no longer, good")
            actor = found.actor
            permission = PERMISSIONS[min(routes[0].classes)]
            if not actor.may_everywhere(permission):
                await prefect_requests.refused(
                    opened.connections(socket), actor, permission, prefect_routes.WEBSOCKET, address.path
                )
                raise _Refused(REFUSED, f"{actor.name} lacks the permission {permission}")
            await self._serve(socket, routes[0], address.target, _Holder(asking, permission, found.seconds))
        except _Refused as refused:
            await _close(socket, refused.code, refused.reason)
        except ProblemError as problem:
            await _close(socket, AWAY if problem.status == 503 else REFUSED, str(problem))
        except WebSocketDisconnect:
            pass

    async def _serve(self, socket: WebSocket, route: Route, target: str, holder: "_Holder") -> None:
        base = self._base.with_scheme({"http": "ws", "https": "wss"}[self._base.scheme])
        try:
            async with self._client.ws_connect(
                URL(f"{base}".rstrip("/") + target, encoded=True),
                protocols=(SUBPROTOCOL,),
                headers=self._auth.headers(),
                max_msg_size=MESSAGE_BYTES_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=CONNECT_SECONDS),
            ) as upstream:
                await upstream.send_json({"type": "auth", "token": self._auth.string()})
                answer = await upstream.receive_json(timeout=CONNECT_SECONDS)
                if answer.get("type") != "auth_success":
                    raise _Refused(AWAY, "Prefect's server does not take our auth string")
                await socket.send_json({"type": "auth_success"})
                await _first_to_end(
                    _out(socket, upstream, MESSAGES[route.name]),
                    _in(socket, upstream),
                    holder.look_again(self._recheck_seconds),
                )
        except (aiohttp.ClientError, OSError, TimeoutError, TypeError):
            # TypeError: it closed where its answer should have come.
            raise _Refused(AWAY, "Prefect's server does not answer") from None


_Asking = Callable[[], Awaitable[Recognised | None]]
PERMISSIONS: Mapping[str, Permission] = {"read": "prefect.read", "worker": "prefect.worker"}


@dataclass
class _Holder:
    """Who is at the other end, by what right, and for how many seconds that stands at least."""

    asking: _Asking
    permission: Permission
    seconds: float

    async def look_again(self, every_seconds: float) -> None:
        """Ask, now and then, until it stands no longer."""
        while True:
            await asyncio.sleep(min(every_seconds, self.seconds))
            found = await self.asking()
            if found is None or not found.actor.may_everywhere(self.permission):
                raise _Refused(REFUSED, "the session or key is no longer good, or lost its role")
            self.seconds = found.seconds


def _check_origin(scope: Scope) -> None:
    """A page of another site may open a websocket to us, cookies included; a program sends no Origin."""
    names = {name for name, _ in scope["headers"]}
    if (b"origin" in names or b"cookie" in names) and not origins.same_origin(scope):
        raise _Refused(REFUSED, "a page of another site does not talk to us")


async def _first_message(socket: WebSocket) -> _Asking:
    """How to ask who this is, now and later: by what the first message holds, else by the headers."""
    global _strangers
    if _strangers >= STRANGERS:
        raise _Refused(AWAY, "too many websockets wait for a sign-in")
    _strangers += 1
    try:
        async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
            message = _object(await socket.receive_text())
    except TimeoutError:
        raise _Refused(REFUSED, "the first message did not come in time") from None
    finally:
        _strangers -= 1
    if message.get("type") != "auth":
        raise _Refused(REFUSED, "the first message has to be of type 'auth'")
    token = message.get("token")
    running = opened.running(socket)
    # A page sends what it finds in its own storage, which is nothing of ours: its cookie speaks for it.
    if isinstance(token, str) and ":" in token:
        return lambda: sign_in.holder(running, token)
    return lambda: sign_in.authenticate(running, socket.scope)


async def _first_to_end(*ways: Any) -> None:
    """Until one of them ends; an exception of that one is the end's reason."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _out(socket: WebSocket, upstream: aiohttp.ClientWebSocketResponse, message: "_Message") -> None:
    """What the caller says, each message written anew."""
    count = 0
    while True:
        said = _object(await socket.receive_text())
        await upstream.send_str(prefect_bodies.write(message(said, count)).decode())
        count += 1


async def _in(socket: WebSocket, upstream: aiohttp.ClientWebSocketResponse) -> None:
    """What Prefect says."""
    async for message in upstream:
        if message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_text(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    code = upstream.close_code if upstream.close_code and 1000 <= upstream.close_code < 5000 else AWAY
    raise _Refused(AWAY if code in (1005, 1006, 1015) else code, "Prefect's server closed the websocket")


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    try:
        # A close frame holds 123 bytes of text.
        await socket.close(code, reason.encode()[:120].decode(errors="ignore"))
    except (RuntimeError, WebSocketDisconnect):
        log.debug("a websocket was gone before it was closed")


def _object(text: str) -> dict[str, Any]:
    if len(text) > MESSAGE_BYTES_MAX:
        raise _Refused(1009, "the message is too long")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _Refused(REFUSED, "a message has to be a JSON object")
    return found


_Message = Callable[[dict[str, Any], int], dict[str, Any]]


def _filter_alone(message: dict[str, Any], count: int) -> dict[str, Any]:
    """Who only looks says once what he wants to see."""
    if count or message.get("type") != "filter":
        raise _Refused(REFUSED, "here one filter is said, and nothing else")
    return message


def _event(message: dict[str, Any], _: int) -> dict[str, Any]:
    return prefect_bodies.without_data(message)


def _worker_channel(message: dict[str, Any], _: int) -> dict[str, Any]:
    """A worker's hello may bring a job template, or a pool that it makes: both say what runs."""
    payload = message.get("payload")
    if isinstance(payload, dict):
        forbidden = {"create_pool_if_not_found": False, "default_base_job_template": {}}
        payload.update({key: value for key, value in forbidden.items() if key in payload})
    return message


def _as_it_is(message: dict[str, Any], _: int) -> dict[str, Any]:
    return message


MESSAGES: Mapping[str, _Message] = {
    "WS /api/events/in": _event,
    "WS /api/events/out": _filter_alone,
    "WS /api/logs/out": _filter_alone,
    "WS /api/task_runs/subscriptions/scheduled": _as_it_is,
    "WS /api/work_pools/{work_pool_name}/workers/connect": _worker_channel,
}
