"""Sign-in of people, and a look at what a token is worth."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from deployments.gateway.problems import ProblemError
from deployments.gateway.sign_in import Running, client_of, needs_of_token
from tasks.domain.roles import Actor, Grant, Role
from tasks.operations import access

router = APIRouter(prefix="/auth", tags=["auth"])

# Said of a wrong name, a wrong password, a disabled user and too many attempts alike.
REFUSED = "name and password do not belong together, or there were too many attempts: wait a quarter of an hour"


class SignIn(BaseModel):
    """Name and password of a user."""

    model_config = ConfigDict(extra="forbid")

    username: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=1000)]


class SignedIn(BaseModel):
    """A token for the Authorization header; it ends by itself."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_at: datetime
    expires_in: Annotated[int, Field(description="Seconds from now.")]


class GrantView(BaseModel):
    """A role in force: for what bears `label`, or for everything."""

    model_config = ConfigDict(from_attributes=True)

    role: Role
    label: str | None


def views(grants: Iterable[Grant]) -> list[GrantView]:
    """Roles in force, in a steady order."""
    held = sorted(grants, key=lambda grant: (grant.role, grant.label or ""))
    return [GrantView.model_validate(grant) for grant in held]


class Valid(BaseModel):
    """Whom a token or key stands for, and what he may be."""

    status: Literal["valid"] = "valid"
    name: str
    kind: Literal["user", "key", "system"]
    roles: list[GrantView]


@router.post("/login", responses={401: {"description": "Name and password do not belong together."}})
async def login(given: SignIn, running: Running, request: Request) -> SignedIn:
    """Sign in with name and password."""
    at = running.connections
    await request.app.state.limits.take_sign_in(client_of(request.scope))
    user = await access.sign_in(at, given.username, given.password.get_secret_value(), client_of(request.scope))
    if user is None:
        raise ProblemError(401, "sign-in-refused", REFUSED, {"WWW-Authenticate": "Bearer"})
    token = await running.signer.issue(user.username, user.generation)
    return SignedIn(
        access_token=token.value, expires_at=token.expires_at, expires_in=int(running.signer.life.total_seconds())
    )


@router.get("/validate", responses={401: {"description": "The token is not, or no longer, one of ours."}})
async def validate(caller: Annotated[Actor, needs_of_token("access.validate")]) -> Valid:
    """Look whether a token is good; it reaches no log."""
    return Valid(name=caller.name, kind=caller.kind, roles=views(caller.grants))
