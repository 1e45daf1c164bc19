"""Who is asking, and may they: the one door of our routes, of the proxy and of websockets.

`identify` says who asks, `authenticate` who opens a websocket, `Actor.may` what he may do. People sign in by name and
password; signing in through somebody else's OpenID Connect will begin a session as `console/sign_in.py` does, and
nothing in here will change.
"""

import base64
import binascii
import logging
import time
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import Scope

from deployments.gateway import cookies, repeats
from deployments.gateway.opening import Ready
from deployments.gateway.origins import changes, same_origin
from deployments.gateway.problems import ProblemError
from deployments.gateway.tokens import TokenRefusedError
from tasks.connections import Connections
from tasks.domain.roles import Actor, Permission
from tasks.operations import access
from tasks.operations.access import SESSION_PREFIX, Recognised

TOKEN_CHARACTERS_MAX = 4096

security_log = logging.getLogger("vivesphere.security")
bearer = HTTPBearer(
    auto_error=False, description="An access token of `POST /api/v1/auth/login`, or an API key `<id>:<secret>`."
)


def ready(request: Request) -> Ready:
    """What the gateway holds open; the doorway lets nobody in before it is."""
    found: Ready = request.app.state.opening.ready
    return found


def _connections(found: Annotated[Ready, Depends(ready)]) -> Connections:
    return found.connections


Opened = Annotated[Connections, Depends(_connections)]
Running = Annotated[Ready, Depends(ready)]


async def authenticate(running: Ready, scope: Scope) -> Recognised | None:
    """Who opens this websocket, and for how long at least he may keep it; None for a stranger.

    Read from the headers: `Authorization: Bearer` with an access token or an API key `<id>:<secret>`, or
    `Authorization: Basic` with an API key; else the cookie of a session, which counts for what changes something only
    where a page of ours asks. What he may do, `Actor.may` says.
    """
    try:
        return await _identified(running, scope, fresh=True)
    except ProblemError:
        return None


async def holder(running: Ready, credential: str) -> Recognised | None:
    """Whom an access token or API key belongs to, where it does not come in a header; None for any other text."""
    try:
        return await _by_credential(running, credential, fresh=True)
    except ProblemError:
        return None


async def identify(running: Ready, scope: Scope, *, fresh: bool | None = None) -> Actor:
    """Who makes this request; raises the reason, 401 or 403, and notes the refusal. Read as `authenticate` does.

    What only looks is believed for a few seconds without asking the database; what changes something never is, and
    `fresh` says which it is where the method does not: Prefect's searches are sent by POST.
    """
    return (await _identified(running, scope, changes(scope) if fresh is None else fresh)).actor


async def _identified(running: Ready, scope: Scope, fresh: bool) -> Recognised:
    shown = credential(Headers(scope=scope))
    session = None if shown is not None else cookies.read(scope)
    try:
        if session is not None and changes(scope) and not same_origin(scope):
            raise ProblemError(403, "cross-site", "a session counts only on pages of ours: send a token or a key")
        if session is not None:
            return await _recognised(running, session, fresh)
        return await _by_credential(running, shown, fresh)
    except ProblemError as problem:
        note(scope, problem)
        raise


def credential(headers: Headers) -> str | None:
    """What the Authorization header holds: an access token, or an API key `<id>:<secret>` as Bearer or as Basic."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    given = given.strip()
    if scheme.lower() == "bearer":
        return given
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given, validate=True).decode()
        except (binascii.Error, ValueError):
            # Something was shown, and it is nobody's.
            return ":"
    return None


class Needs:
    """Lets a caller with `permission` in; nobody else."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(
        self,
        request: Request,
        response: Response,
        running: Running,
        # For the API's own pages, which learn from it how to sign in.
        _: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    ) -> Actor:
        """The caller; raises 401 for a stranger, 429 for who asks too much and 403 for who lacks the permission."""
        actor = await identify(running, request.scope)
        await _count(request, response, actor)
        await self.admit(running, actor)
        if changes(request.scope):
            await repeats.claim(request, running.connections, actor)
        return actor

    async def admit(self, running: Ready, actor: Actor) -> Actor:
        """The actor, if he has the permission."""
        if not actor.may(self.permission):
            await access.denied(running.connections, actor, self.permission)
            raise ProblemError(403, "not-allowed", f"{actor.name} lacks the permission {self.permission}")
        return actor


class NeedsOfToken(Needs):
    """As `Needs`, for the token in the address: whoever holds a token may ask what it is worth."""

    async def __call__(  # type: ignore[override]  # FastAPI reads the signature of each class by itself
        self,
        request: Request,
        response: Response,
        running: Running,
        token: Annotated[SecretStr, Query(max_length=TOKEN_CHARACTERS_MAX)],
    ) -> Actor:
        """The holder of the token."""
        try:
            actor = (await _by_credential(running, token.get_secret_value(), fresh=True)).actor
        except ProblemError as problem:
            note(request.scope, problem)
            raise
        await _count(request, response, actor)
        return await self.admit(running, actor)


async def _count(request: Request, response: Response, actor: Actor) -> None:
    """Count a request, and let the answer say how many more there may be; raises 429."""
    left = await request.app.state.limits.take(actor, reads=not changes(request.scope))
    if left is not None:
        response.headers.update(left.headers)


def needs(permission: Permission) -> Any:
    """The dependency of a route: `caller: Annotated[Actor, needs("posts.read")]`."""
    return Depends(Needs(permission))


def needs_of_token(permission: Permission) -> Any:
    """The dependency of the route that looks at a token."""
    return Depends(NeedsOfToken(permission))


async def _by_credential(running: Ready, shown: str | None, fresh: bool) -> Recognised:
    """As `_recognised`, for what programs show; a session is the browser's cookie and nothing else."""
    if not shown or len(shown) > TOKEN_CHARACTERS_MAX:
        raise _stranger("sign-in-needed", "send `Authorization: Bearer` with an access token or an API key")
    if shown.startswith(SESSION_PREFIX):
        raise _stranger("token-refused", "the access token is not one of ours")
    return await _recognised(running, shown, fresh)


async def _recognised(running: Ready, shown: str, fresh: bool) -> Recognised:
    """The user or program as they stand now, or if that will do, stood a few seconds ago. Raises 401."""
    lately = access.remembered(running.connections)
    found, changes_before = None if fresh else lately.get(shown), lately.changes
    if found is not None:
        return found
    lately.drop(shown)
    asked_at = time.monotonic()
    if shown.startswith(SESSION_PREFIX):
        now = await _by_session(running, shown)
    elif ":" in shown:
        now = await _by_key(running, shown)
    else:
        now = await _by_token(running, shown)
    seconds = min(now.seconds, running.connections.places.settings.gateway.remembered_seconds)
    lately.put(shown, now.actor, asked_at + seconds, changes_before)
    return now


async def _by_session(running: Ready, secret: str) -> Recognised:
    found = await access.by_session(running.connections, secret)
    if found is None:
        raise _stranger("session-ended", "the session has ended: sign in again")
    return found


async def _by_key(running: Ready, key: str) -> Recognised:
    found = await access.by_key(running.connections, key)
    if found is None:
        raise _stranger("key-refused", "the API key is unknown, revoked or expired")
    return found


async def _by_token(running: Ready, token: str) -> Recognised:
    """The user, and for how long he and the token stand."""
    try:
        named = await running.signer.holder(token)
    except TokenRefusedError as error:
        raise _stranger("token-expired" if error.expired else "token-refused", str(error)) from None
    left = (named.expires_at - datetime.now(UTC)).total_seconds()
    found = await access.by_name(running.connections, named.username, named.generation)
    if found is None:
        raise _stranger("token-refused", "the user of this token is gone, disabled or was signed out")
    return Recognised(found.actor, min(found.seconds, left))


def _stranger(problem: str, detail: str) -> ProblemError:
    return ProblemError(401, problem, detail, {"WWW-Authenticate": "Bearer"})


def note(scope: Scope, problem: ProblemError) -> None:
    """Write a refusal into the security log."""
    security_log.info(
        "refused: %s",
        problem.problem,
        extra={
            "actor": "unknown",
            "action": "access.refused",
            "subject": scope["path"],
            "details": {
                "problem": problem.problem,
                "method": scope.get("method", "WEBSOCKET"),
                "client": client_of(scope),
            },
        },
    )


def client_of(scope: Scope) -> str:
    """The address that a request came from; behind a trusted proxy the one that the proxy names."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"
