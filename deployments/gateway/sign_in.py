"""Who is asking, and may they: the one door of our routes, of the proxy and of websockets.

`authenticate` says who it is, `Actor.may` what he may do. People sign in by name and password; signing in through
somebody else's OpenID Connect would become a third way in here, beside `_by_key` and `_by_token`.
"""

import base64
import binascii
import logging
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import Scope

from deployments.gateway.opening import Ready
from deployments.gateway.problems import ProblemError
from deployments.gateway.tokens import TokenRefusedError
from tasks.connections import Connections
from tasks.domain.roles import Actor, Permission
from tasks.operations import access

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


async def authenticate(running: Ready, scope: Scope) -> Actor | None:
    """Who makes this request or opens this websocket; None for a stranger.

    Read from the headers: `Authorization: Bearer` with an access token or an API key `<id>:<secret>`, or
    `Authorization: Basic` with an API key. What he may do, `Actor.may` says.
    """
    try:
        return await identify(running, scope)
    except ProblemError:
        return None


async def holder(running: Ready, credential: str) -> Actor | None:
    """Whom an access token or API key belongs to, where it does not come in a header; None for any other text."""
    try:
        return await _holder(running, credential)
    except ProblemError:
        return None


async def identify(running: Ready, scope: Scope) -> Actor:
    """As `authenticate`, but raises 401 with the reason, and notes the refusal."""
    try:
        return await _holder(running, credential(Headers(scope=scope)))
    except ProblemError as problem:
        _note(scope, problem)
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
        running: Running,
        # For the API's own pages, which learn from it how to sign in.
        _: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    ) -> Actor:
        """The caller; raises 401 for a stranger and 403 for who lacks the permission."""
        return await self.admit(running, await identify(running, request.scope))

    async def admit(self, running: Ready, actor: Actor) -> Actor:
        """The actor, if he has the permission."""
        if not actor.may(self.permission):
            await access.denied(running.connections, actor, self.permission)
            raise ProblemError(403, "not-allowed", f"{actor.name} lacks the permission {self.permission}")
        return actor


class NeedsOfToken(Needs):
    """As `Needs`, for the token in the address: whoever holds a token may ask what it is worth."""

    async def __call__(  # type: ignore[override]  # FastAPI reads the signature of each class by itself
        self, request: Request, running: Running, token: Annotated[SecretStr, Query(max_length=TOKEN_CHARACTERS_MAX)]
    ) -> Actor:
        """The holder of the token."""
        try:
            actor = await _holder(running, token.get_secret_value())
        except ProblemError as problem:
            _note(request.scope, problem)
            raise
        return await self.admit(running, actor)


def needs(permission: Permission) -> Any:
    """The dependency of a route: `caller: Annotated[Actor, needs("posts.read")]`."""
    return Depends(Needs(permission))


def needs_of_token(permission: Permission) -> Any:
    """The dependency of the route that looks at a token."""
    return Depends(NeedsOfToken(permission))


async def _holder(running: Ready, given: str | None) -> Actor:
    """The user or program as they stand now; a disabled user's token ends at once. Raises 401."""
    if not given or len(given) > TOKEN_CHARACTERS_MAX:
        raise _stranger("sign-in-needed", "send `Authorization: Bearer` with an access token or an API key")
    return await (_by_key if ":" in given else _by_token)(running, given)


async def _by_key(running: Ready, key: str) -> Actor:
    actor = await access.by_key(running.connections, key)
    if actor is None:
        raise _stranger("key-refused", "the API key is unknown, revoked or expired")
    return actor


async def _by_token(running: Ready, token: str) -> Actor:
    try:
        username = running.signer.holder(token).username
    except TokenRefusedError as error:
        raise _stranger("token-expired" if error.expired else "token-refused", str(error)) from None
    actor = await access.by_name(running.connections, username)
    if actor is None:
        raise _stranger("token-refused", "the user of this token is gone or disabled")
    return actor


def _stranger(problem: str, detail: str) -> ProblemError:
    return ProblemError(401, problem, detail, {"WWW-Authenticate": "Bearer"})


def _note(scope: Scope, problem: ProblemError) -> None:
    client = scope.get("client")
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
                "client": client[0] if client else "unknown",
            },
        },
    )
