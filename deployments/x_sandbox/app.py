"""The application: X's endpoints on a short path of their own, people's pages and the control plane behind it."""

import asyncio
import re

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from deployments.x_sandbox import (
    analytics,
    consent,
    counts,
    media,
    media_v1,
    oauth,
    post_reads,
    posts,
    trends,
    usage,
    users,
)
from deployments.x_sandbox.answers import (
    PROBLEMS,
    Answer,
    Headers,
    problem,
    too_many_requests,
    unauthorized,
    unsupported_authentication,
)
from deployments.x_sandbox.call import APP_ONLY, OAUTH1, OAUTH2, Call, Endpoint
from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.connection import ClientLeft, Connection
from deployments.x_sandbox.faults import Ended, Rule, Scene, Target, When, strike
from deployments.x_sandbox.oauth import kill
from deployments.x_sandbox.oauth1 import signer
from deployments.x_sandbox.state import Sandbox
from deployments.x_sandbox.tokens import Access

VERSIONS = ("/2/", "/1.1/", "/oauth2/")
"""How a path of X's API begins; OAuth's oldest endpoint has no number."""
HOLE = re.compile(r"\{\w+\}")
"""The part of an endpoint's path that differs from request to request."""
NOT_FOUND = Answer(404, b"", problem="Not Found")
DISK_FULL = problem(503, "Service Unavailable", "The sandbox could not write its ledger.")
RECORDED = "POST /2/tweets"
"""Refusals of this endpoint stand in the ledger: the limits that we keep are judged by them."""
ENDPOINTS = [
    *posts.ENDPOINTS,
    *post_reads.ENDPOINTS,
    *users.ENDPOINTS,
    *trends.ENDPOINTS,
    *counts.ENDPOINTS,
    *analytics.ENDPOINTS,
    *usage.ENDPOINTS,
    *media.ENDPOINTS,
    *media_v1.ENDPOINTS,
    *oauth.ENDPOINTS,
]


class Application:
    """The ASGI application of one sandbox."""

    def __init__(self, sandbox: Sandbox, pages: Starlette) -> None:
        self._sandbox = sandbox
        self._pages = pages
        self._endpoints: dict[str, Endpoint] = {HOLE.sub("{}", each.name): each for each in ENDPOINTS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        of_x = scope["path"].startswith(VERSIONS)
        if self._sandbox.faults.rules and (of_x or scope["path"] == consent.PATH) and await self._frozen(scope):
            return
        if of_x:
            await self._x(scope)
        else:
            await self._pages(scope, receive, send)

    async def _frozen(self, scope: Scope) -> bool:
        """Whether everything stands still; the sender may wait for as long as it likes."""
        rule = self._sandbox.faults.freeze(self._sandbox.chance)
        if rule is None:
            return False
        path = scope["path"]
        self._sandbox.record("fault", {"fault": rule.fault, "when": rule.when, "endpoint": path, "at": self._now()})
        await scope["state"]["connection"].freeze()
        return True

    async def _x(self, scope: Scope) -> None:
        connection: Connection = scope["state"]["connection"]
        try:
            body = await connection.body()
            endpoint, path_id = self._match(scope["method"], scope["path"])
            if endpoint is None:
                await connection.send(NOT_FOUND)
            else:
                call = self._call(scope, endpoint, path_id, connection.first_byte_at)
                call.body = body
                await connection.send(await self._answer(endpoint, call, connection))
        except (Ended, ClientLeft):
            return

    def _match(self, method: str, path: str) -> tuple[Endpoint | None, str]:
        plain = self._endpoints.get(f"{method} {path}")
        if plain:
            return plain, ""
        parts = path.split("/")
        for at in range(3, len(parts)):
            named = self._endpoints.get(f"{method} {'/'.join([*parts[:at], '{}', *parts[at + 1 :]])}")
            if named:
                return named, parts[at]
        return None, ""

    def _call(self, scope: Scope, endpoint: Endpoint, path_id: str, first_byte_at: float) -> Call:
        headers = {b"authorization": b"", b"content-type": b"", b"traceparent": b"", b"host": b""}
        headers |= {name: value for name, value in scope["headers"] if name in headers}
        return Call(
            endpoint=endpoint.name,
            path=scope["raw_path"].decode("latin-1"),
            path_id=path_id,
            host=headers[b"host"].decode("latin-1"),
            query=scope["query_string"],
            authorization=headers[b"authorization"].decode("latin-1"),
            content_type=headers[b"content-type"].decode("latin-1"),
            traceparent=headers[b"traceparent"].decode("latin-1") or None,
            first_byte_at=self._sandbox.clock.at(first_byte_at),
        )

    async def _answer(self, endpoint: Endpoint, call: Call, connection: Connection) -> Answer:
        lowest, highest = self._sandbox.settings.latency_ms
        if highest:
            await asyncio.sleep(self._sandbox.chance.uniform(lowest, highest) / 1000)
        if refusal := self._enter(endpoint, call):
            return self._refused(call, refusal, counted=False)
        if answer := await self._broken("before", call, connection, None):
            return answer
        if refusal := self._enter(endpoint, call):  # the token may have died while a fault held the request up
            return self._refused(call, refusal, counted=False)
        answer = self._decide(endpoint, call)
        if answer.status < 400:
            return await self._broken("after", call, connection, answer) or answer
        return answer

    def _enter(self, endpoint: Endpoint, call: Call) -> Answer | None:
        """Find out who calls; an answer means they may not."""
        if endpoint.scopes is None:
            call.account = endpoint.whose(self._sandbox, call) if endpoint.whose else None
            return None
        access = self._access(call)
        if access is None:
            return unauthorized()
        call.access = access
        way = APP_ONLY if access.family.account_id is None else OAUTH1 if call.signer else OAUTH2
        if way not in endpoint.ways_in:
            return unsupported_authentication(way, endpoint.ways_in)
        if access.family.account_id is None:
            return None
        call.account = self._sandbox.accounts.by_id.get(access.family.account_id)
        if call.account and call.account.suspended:
            return PROBLEMS["user-suspended"]
        if endpoint.scopes <= access.scopes:
            return None
        return PROBLEMS["oauth1-permissions"] if call.signer else problem(403, "Forbidden")

    def _access(self, call: Call) -> Access | None:
        scheme, _, token = call.authorization.partition(" ")
        if scheme.lower() == "oauth":
            call.signer = call.signer or signer(self._sandbox, call)
            return self._sandbox.tokens.oauth1(call.signer) if call.signer else None
        return self._sandbox.tokens.access(token, self._sandbox.clock.now()) if scheme.lower() == "bearer" else None

    def _decide(self, endpoint: Endpoint, call: Call) -> Answer:
        """Count against the limits, then let the endpoint answer; there is no pause in here."""
        limit = self._sandbox.settings.limits.get(endpoint.name)
        allowed = True
        headers: Headers = []
        if limit and call.access:
            family, now = call.access.family, self._sandbox.clock.now()
            allowed, headers = self._sandbox.limits.count(
                endpoint.name, limit, family.account_id, family.client_id, now
            )
        if not allowed:
            answer = self._refused(call, too_many_requests(), counted=False)
        else:
            try:
                answer = self._unpaid(endpoint, call) or endpoint.answer(self._sandbox, call)
                self._charge(call)
            except OSError:
                return DISK_FULL
            if answer.status >= 400:
                self._refused(call, answer, counted=True)
        return Answer(answer.status, answer.body, answer.content_type, headers, answer.problem)

    def _unpaid(self, endpoint: Endpoint, call: Call) -> Answer | None:
        """Whether the caller's money or month is used up."""
        if call.access is None or endpoint.free:
            return None
        money, family = self._sandbox.money, call.access.family
        if money.depleted(family.client_id, family.account_id):
            return PROBLEMS["credits-depleted"]
        now, cap = self._sandbox.clock.now(), self._sandbox.settings.usage_cap_posts
        return (
            PROBLEMS["usage-capped"] if endpoint.capped and money.read_in_month(family.client_id, now) >= cap else None
        )

    def _charge(self, call: Call) -> None:
        """Book what an answer brought; creates and deletes have booked themselves."""
        if call.bought is None or call.access is None:
            return
        price, things = call.bought
        each = self._sandbox.settings.prices_usd[price]
        unseen = self._sandbox.money.unseen(call.access.family.client_id, price, things, self._sandbox.clock.now())
        if unseen or not things:
            bought = {"endpoint": call.endpoint, "price": price, "usd": round(each * (len(unseen) or 1), 6)}
            self._sandbox.record("charge", {**call.trace(), "at": self._now(), **bought, "things": unseen})

    def _refused(self, call: Call, answer: Answer, counted: bool) -> Answer:
        if call.endpoint == RECORDED:
            refusal = {"status": answer.status, "problem": answer.problem, "counted": counted, "at": self._now()}
            self._sandbox.record("refuse", {**call.trace(), **refusal})
        return answer

    async def _broken(self, when: When, call: Call, connection: Connection, answer: Answer | None) -> Answer | None:
        """Let the active faults strike; before the decision the first answer of a fault is the last word."""
        if not self._sandbox.faults.rules:
            return answer
        username = call.account.username if call.account else None
        target = Target(when, call.endpoint, username, has_token=call.access is not None)
        for rule in self._sandbox.faults.take(target, self._sandbox.chance):
            strike_entry = {"fault": rule.fault, "when": when, "endpoint": call.endpoint, "at": self._now()}
            self._sandbox.record("fault", {**call.trace(), **strike_entry, "x_post_id": call.x_post_id})
            if rule.fault in ("suspend", "revoke"):
                refusal = self._punish(rule, call)
                answer = answer or refusal
            else:
                answer = await strike(rule, Scene(connection, answer, self._sandbox.clock.now()))
            if when == "before" and answer:
                return answer
        return answer

    def _punish(self, rule: Rule, call: Call) -> Answer:
        """Take account or token out of use for good; the answer to whoever asked with it."""
        if rule.fault == "suspend" and call.account:
            self._sandbox.named_account(call.account.username, suspended=True)
            return PROBLEMS["user-suspended"]
        if call.access:
            kill(self._sandbox, call, "fault", call.access.family)
        return unauthorized()

    def _now(self) -> str:
        return iso(self._sandbox.clock.now())
