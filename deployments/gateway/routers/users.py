"""Users: add, look, let in and out."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from deployments.gateway import first_sign_in
from deployments.gateway.paging import ByName
from deployments.gateway.routers.auth import GrantView, views
from deployments.gateway.sign_in import Opened, needs
from tasks.connections import Connections
from tasks.domain.roles import Actor
from tasks.operations import users
from tasks.operations.users import Link
from tasks.store.access import UserRow

router = APIRouter(prefix="/users", tags=["users"])

Username = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._@-]{0,99}$", examples=["anna"])]
Password = Annotated[SecretStr, Field(min_length=1, max_length=1000)]


class NewUser(BaseModel):
    """A person, or a program that only has keys; without a password the answer holds a link to choose one."""

    model_config = ConfigDict(extra="forbid")

    username: Username
    password: Password | None = None


class NewPassword(BaseModel):
    """A password, or none: then the answer holds a link to choose one."""

    model_config = ConfigDict(extra="forbid")

    password: Password | None = None


class UserView(BaseModel):
    """A user, with the roles in force."""

    id: UUID
    username: str
    created_at: datetime
    disabled_at: datetime | None
    has_password: bool
    roles: list[GrantView]


class LinkView(BaseModel):
    """Where the user chooses a password; for one use, until `expires_at`."""

    url: str
    expires_at: datetime


class AddedUser(UserView):
    """A new user; `link` is absent where a password was given."""

    link: LinkView | None


class PasswordView(BaseModel):
    """A link, or how many sessions ended because the password is another now."""

    link: LinkView | None
    sessions_ended: int


class Disabled(BaseModel):
    """The user gets in no more."""

    sessions_ended: int


class OffboardedView(BaseModel):
    """What ended; `bots` stay, and name the user as their owner still. `approvals`: so many posts of his that waited
    for one do not go out."""

    sessions: int
    links: int
    keys: list[str]
    roles: list[GrantView]
    bots: list[str]
    approvals: int


@router.get("")
async def list_users(
    caller: Annotated[Actor, needs("users.read")], at: Opened, part: Annotated[ByName, Depends()]
) -> list[UserView]:
    """Every user, by name."""
    return [UserView(**_fields(user)) for user in part.cut(await users.list_all(at), lambda user: user.username)]


@router.get("/{username}")
async def show(username: str, caller: Annotated[Actor, needs("users.read")], at: Opened) -> UserView:
    """One user."""
    return UserView(**_fields(await users.get(at, username)))


@router.post("", status_code=201)
async def add(given: NewUser, caller: Annotated[Actor, needs("users.write")], at: Opened) -> AddedUser:
    """Add a user; roles are assigned afterwards."""
    password = given.password.get_secret_value() if given.password else None
    added = await users.add(at, given.username, password, caller)
    return AddedUser(**_fields(added.user), link=_view(at, added.link) if added.link else None)


@router.post("/{username}/password")
async def set_password(
    username: str, given: NewPassword, caller: Annotated[Actor, needs("users.write")], at: Opened
) -> PasswordView:
    """Give a user another password, or a link to choose one."""
    if given.password is None:
        return PasswordView(link=_view(at, await users.new_link(at, username, caller)), sessions_ended=0)
    ended = await users.set_password(at, username, given.password.get_secret_value(), caller)
    first_sign_in.used(at.places, username)
    return PasswordView(link=None, sessions_ended=ended)


@router.post("/{username}/disable")
async def disable(username: str, caller: Annotated[Actor, needs("users.write")], at: Opened) -> Disabled:
    """Let a user in no more; his keys sleep until he is enabled again."""
    return Disabled(sessions_ended=await users.disable(at, username, caller))


@router.post("/{username}/enable", status_code=204)
async def enable(username: str, caller: Annotated[Actor, needs("users.write")], at: Opened) -> None:
    """Let a user in again."""
    await users.enable(at, username, caller)


@router.post("/{username}/offboard")
async def offboard(username: str, caller: Annotated[Actor, needs("users.write")], at: Opened) -> OffboardedView:
    """Let a user go: sessions, links, keys and roles end for good."""
    ended = await users.offboard(at, username, caller)
    return OffboardedView(
        sessions=ended.sessions,
        links=ended.links,
        keys=list(ended.keys),
        roles=[GrantView(role=role, label=label) for role, label in ended.roles],
        bots=list(ended.bots),
        approvals=ended.approvals,
    )


def _fields(user: UserRow) -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.username,
        "created_at": user.created_at,
        "disabled_at": user.disabled_at,
        "has_password": user.password_hash is not None,
        "roles": views(user.grants),
    }


def _view(at: Connections, link: Link) -> LinkView:
    return LinkView(url=first_sign_in.address(at.places, link), expires_at=link.expires_at)
