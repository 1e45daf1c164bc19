"""The page on which a person sees his roles, keys and sessions, and changes his password."""

from typing import Annotated, Any, get_args
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from deployments.gateway import cookies
from deployments.gateway.console.pages import from_our_page, go, page
from deployments.gateway.console.sign_in import ACCOUNT, Secret, led_to_sign_in
from deployments.gateway.problems import ProblemError
from deployments.gateway.sign_in import Needs, Opened, Running, client_of, identify
from tasks.connections import Connections
from tasks.domain.roles import Actor, Permission, Role
from tasks.operations import api_keys, users
from tasks.operations.api_keys import NewKey, NoSuchKeyError, WorthlessKeyError
from tasks.operations.passwords import BusyError
from tasks.operations.users import LastAdminError, WeakPasswordError, WrongPasswordError

router = APIRouter(prefix=ACCOUNT, include_in_schema=False)


class NeedsOnPage(Needs):
    """As `Needs`, for a person before a page: whoever has no session is led to the sign-in."""

    async def __call__(self, request: Request, running: Running) -> Actor:  # type: ignore[override]  # as NeedsOfToken
        """The person whose session this is."""
        try:
            if cookies.read(request.scope) is None:
                raise ProblemError(401, "sign-in-needed", "sign in first")
            actor = await identify(running, request.scope)
        except ProblemError as problem:
            raise led_to_sign_in(request, problem) if problem.status == 401 else problem from None
        return await self.admit(running, actor)


def needs_on_page(permission: Permission) -> Any:
    """The dependency of a page."""
    return Depends(NeedsOnPage(permission))


Owner = Annotated[Actor, needs_on_page("access.own")]
OURS = [Depends(from_our_page)]
NOTICES = {
    "changed": "Your password is changed, and every other session has ended.",
    "revoked": "The key is revoked.",
    "ended": "You are signed out everywhere else.",
}


@router.get("")
async def show(caller: Owner, at: Opened, notice: str = "") -> Response:
    """Everything there is about the caller."""
    return await _account(at, caller, notice=NOTICES.get(notice, ""))


@router.post("/keys", dependencies=OURS)
async def make_key(
    caller: Owner,
    at: Opened,
    name: Annotated[str, Form(min_length=1, max_length=100)],
    role: Annotated[Role | None, Form()] = None,
    label: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Make a key and show it this once."""
    try:
        made = await api_keys.create(at, _id(caller), name.strip(), caller, role=role, label=label.strip() or None)
    except (WorthlessKeyError, PermissionError) as problem:
        return await _account(at, caller, 422, problem=str(problem))
    return await _account(at, caller, 201, made=made)


@router.post("/keys/{key_id}/revoke", dependencies=OURS)
async def revoke_key(key_id: UUID, caller: Owner, at: Opened) -> Response:
    """End a key."""
    try:
        await api_keys.revoke(at, key_id, caller)
    except (NoSuchKeyError, LastAdminError) as problem:
        return await _account(at, caller, 409, problem=str(problem))
    return go(f"{ACCOUNT}?notice=revoked")


@router.post("/password", dependencies=OURS)
async def change_password(
    request: Request,
    caller: Owner,
    at: Opened,
    old: Secret,
    new: Secret,
    again: Secret,
) -> Response:
    """Change the caller's password; this session goes on, every other ends."""
    session = cookies.read(request.scope) or ""
    if new != again:
        return await _account(at, caller, 422, problem="the two new ones are not the same")
    await request.app.state.limits.take_sign_in(client_of(request.scope))
    try:
        client = client_of(request.scope)
        await users.change_own_password(at, caller, old.get_secret_value(), new.get_secret_value(), client, session)
    except (WeakPasswordError, WrongPasswordError, BusyError) as problem:
        return await _account(at, caller, 422, problem=str(problem))
    return go(f"{ACCOUNT}?notice=changed")


@router.post("/sessions/end", dependencies=OURS)
async def end_others(request: Request, caller: Owner, at: Opened) -> Response:
    """End every session of the caller's but this one."""
    await users.end_other_sessions(at, caller, cookies.read(request.scope) or "")
    return go(f"{ACCOUNT}?notice=ended")


async def _account(
    at: Connections, caller: Actor, status: int = 200, notice: str = "", problem: str = "", made: NewKey | None = None
) -> Response:
    return page(
        "account",
        status,
        actor=caller,
        roles=sorted((grant.role, grant.label or "") for grant in caller.grants),
        choices=get_args(Role),
        keys=await api_keys.of_user(at, _id(caller)),
        sessions=await users.own_sessions(at, caller),
        notice=notice,
        problem=f"{problem[:1].upper()}{problem[1:]}." if problem else "",
        made=made,
    )


def _id(caller: Actor) -> UUID:
    if caller.user_id is None:
        raise ProblemError(403, "not-allowed", "only people have an account")
    return caller.user_id
