"""Who is asking, and may they: the one dependency that every route has in its signature."""

import logging
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

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


class Needs:
    """Lets a caller with `permission` in; nobody else."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(
        self,
        request: Request,
        running: Running,
        given: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    ) -> Actor:
        """The caller; raises 401 for a stranger and 403 for who lacks the permission."""
        return await self.admit(request, running, given.credentials if given else None)

    async def admit(self, request: Request, running: Ready, token: str | None) -> Actor:
        """The caller whom `token` names, if he has the permission."""
        actor = await identify(running, token, request)
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
        return await self.admit(request, running, token.get_secret_value())


def needs(permission: Permission) -> Any:
    """The dependency of a route: `caller: Annotated[Actor, needs("posts.read")]`."""
    return Depends(Needs(permission))


def needs_of_token(permission: Permission) -> Any:
    """The dependency of the route that looks at a token."""
    return Depends(NeedsOfToken(permission))


async def identify(running: Ready, token: str | None, request: Request) -> Actor:
    """The user or program as they stand now; a disabled user's token ends at once. Raises 401."""
    if not token or len(token) > TOKEN_CHARACTERS_MAX:
        raise _stranger(request, "sign-in-needed", "send `Authorization: Bearer` with an access token or an API key")
    if ":" in token:
        actor = await access.by_key(running.connections, token)
        if actor is None:
            raise _stranger(request, "key-refused", "the API key is unknown, revoked or expired")
        return actor
    try:
        username = running.signer.holder(token).username
    except TokenRefusedError as error:
        raise _stranger(request, "token-expired" if error.expired else "token-refused", str(error)) from None
    actor = await access.by_name(running.connections, username)
    if actor is None:
        raise _stranger(request, "token-refused", "the user of this token is gone or disabled")
    return actor


def _stranger(request: Request, problem: str, detail: str) -> ProblemError:
    security_log.info(
        "refused: %s",
        problem,
        extra={
            "actor": "unknown",
            "action": "access.refused",
            "subject": request.url.path,
            "details": {"problem": problem, "method": request.method, "client": _host(request)},
        },
    )
    return ProblemError(401, problem, detail, {"WWW-Authenticate": "Bearer"})


def _host(request: Request) -> str:
    return request.client.host if request.client else "unknown"
