"""Users: who they are, how they get in, which roles bind them, and how one leaves."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from tasks.connections import Connections
from tasks.domain import passwords
from tasks.domain.roles import Actor, Role
from tasks.operations import activity
from tasks.operations.access import changing, person, prove
from tasks.operations.passwords import hashing
from tasks.store import access, api_keys, approvals, bots, sessions, sign_in_links
from tasks.store.access import BindingRow, UserRow
from tasks.store.base import now
from tasks.store.sessions import SessionRow


class NoSuchUserError(LookupError):
    """There is no such user."""


class NameTakenError(RuntimeError):
    """Somebody has this name already."""


class LastAdminError(RuntimeError):
    """Nobody would be left who may do everything."""

    def __init__(self) -> None:
        super().__init__("this would leave nobody who may do everything: first make somebody else admin, for good")


class WeakPasswordError(ValueError):
    """This is no password; the text says why and does not repeat it."""


class LinkUsedError(RuntimeError):
    """A link is unknown, used or too old."""

    def __init__(self) -> None:
        super().__init__("this link is unknown, used or too old: ask for a new one (`vivesphere users passwd NAME`)")


class WrongPasswordError(RuntimeError):
    """The password that stands is another."""


class NoSuchRoleError(LookupError):
    """The user does not hold this role."""


class EndsBeforeNowError(ValueError):
    """A role or key would end before it began."""


@dataclass(frozen=True)
class Link:
    """What opens the page on which a user chooses a password; for one use, until `expires_at`."""

    secret: str
    expires_at: datetime


@dataclass(frozen=True)
class Added:
    """A new user, and the link for who was given no password."""

    user: UserRow
    link: Link | None


@dataclass(frozen=True)
class Offboarded:
    """What ended with a user; `bots` stay, and name him as their owner still. `approvals`: so many posts of his that
    waited for one do not go out."""

    sessions: int
    links: int
    keys: Sequence[str]
    roles: Sequence[tuple[Role, str | None]]
    bots: Sequence[str]
    approvals: int


async def list_all(at: Connections) -> Sequence[UserRow]:
    """Every user, by name."""
    async with at.transaction() as session:
        return await access.list_users(session)


async def get(at: Connections, username: str) -> UserRow:
    """One user; raises NoSuchUserError."""
    async with at.transaction() as session:
        return await _named(session, username)


async def add(at: Connections, username: str, password: str | None, actor: Actor) -> Added:
    """Add a user without any role; who gets no password here chooses one by the link. Raises NameTakenError."""
    hashed = await _hashed(at, password, username) if password is not None else None
    async with changing(at) as session:
        user_id = await access.add_user(session, username, hashed)
        if user_id is None:
            raise NameTakenError(f"there is a user '{username}' already; `vivesphere users list` shows them all")
        link = None if hashed else await _link(at, session, user_id)
        await activity.note(session, actor, "users.add", username, "security", user_id=str(user_id))
        return Added(await _by_id(session, user_id), link)


async def add_admin(at: Connections, username: str, actor: Actor) -> UserRow:
    """Add a user who may do everything; or find the one whom somebody else added in this moment."""
    async with changing(at) as session:
        user_id = await access.add_user(session, username, None)
        if user_id is not None:
            await access.bind(session, user_id, "admin", None, None)
            await activity.note(session, actor, "users.add", username, "security", user_id=str(user_id), role="admin")
        return await _named(session, username)


async def new_link(at: Connections, username: str, actor: Actor) -> Link:
    """A link by which a user chooses a new password; the one that stands goes on until then."""
    async with changing(at) as session:
        user = await _named(session, username)
        link = await _link(at, session, user.id)
        await activity.note(session, actor, "users.link", username, "security")
    return link


async def set_password(at: Connections, username: str, password: str, actor: Actor) -> int:
    """Give a user another password: every session, link and access token ends. Answers how many sessions did."""
    hashed = await _hashed(at, password, username)
    async with changing(at) as session:
        user = await _named(session, username)
        return await _change_password(session, user.id, username, hashed, actor)


async def change_own_password(
    at: Connections, actor: Actor, old: str, new: str, client: str, session_secret: str
) -> None:
    """Change the caller's own; every other session of his, and every access token, ends.

    Raises WrongPasswordError, counted like a sign-in that failed, and WeakPasswordError.
    """
    hashed = await _hashed(at, new, actor.name)
    if await prove(at, actor.name, old, client) is None:
        raise WrongPasswordError("that is not your password now")
    async with changing(at) as session:
        user = await _named(session, actor.name)
        await _change_password(session, user.id, user.username, hashed, actor, _digest(session_secret))


async def holder_of_link(at: Connections, secret: str) -> str:
    """Whom a link is for; it is not used up by that. Raises LinkUsedError."""
    async with at.transaction() as session:
        found = await sign_in_links.holder(session, _digest(secret))
    if found is None:
        raise LinkUsedError
    return found


async def use_link(at: Connections, secret: str, password: str) -> str:
    """Choose a password by a link and use it up; answers whose it is. Raises LinkUsedError, WeakPasswordError."""
    username = await holder_of_link(at, secret)
    hashed = await _hashed(at, password, username)
    async with changing(at) as session:
        # Used up only now: a password that is too short does not cost the link.
        user_id = await sign_in_links.use(session, _digest(secret))
        if user_id is None:
            raise LinkUsedError
        user = await _by_id(session, user_id)
        await _change_password(session, user_id, user.username, hashed, person(user))
    return user.username


async def disable(at: Connections, username: str, actor: Actor) -> int:
    """Let a user in no more until he is enabled again; answers how many sessions ended. His keys sleep."""
    async with changing(at) as session:
        await access.lock_admins(session)
        user = await _named(session, username)
        await access.disable(session, user.id)
        ended = await sessions.end_all(session, user.id)
        await _keep_an_admin(session)
        await activity.note(session, actor, "users.disable", username, "security", sessions=ended)
    return ended


async def enable(at: Connections, username: str, actor: Actor) -> None:
    """Let a user in again, with the roles he holds."""
    async with changing(at) as session:
        user = await _named(session, username)
        await access.change_user(session, user.id, disabled_at=None)
        await activity.note(session, actor, "users.enable", username, "security")


async def offboard(at: Connections, username: str, actor: Actor) -> Offboarded:
    """A user leaves: everything by which he gets in, and everything he may do, ends for good."""
    async with changing(at) as session:
        await access.lock_admins(session)
        user = await _named(session, username)
        await access.disable(session, user.id)
        await access.change_user(session, user.id, password_hash=None)
        ended = Offboarded(
            sessions=await sessions.end_all(session, user.id),
            links=await sign_in_links.end_all(session, user.id),
            keys=await api_keys.revoke_all(session, user.id),
            roles=await access.unbind_all(session, user.id),
            bots=await bots.handles_of_owner(session, user.id),
            approvals=len(
                await approvals.end_all(session, username, actor.name, f"{username} left before anybody approved it")
            ),
        )
        await _keep_an_admin(session)
        await activity.note(
            session,
            actor,
            "users.offboard",
            username,
            "security",
            sessions=ended.sessions,
            keys=list(ended.keys),
            approvals=ended.approvals,
            roles=[f"{role} {label or 'everything'}" for role, label in ended.roles],
        )
    return ended


async def assign(
    at: Connections, user_id: UUID, role: Role, label: str | None, ends_at: datetime | None, actor: Actor
) -> BindingRow:
    """Bind a user to a role, or change when that ends. Raises NoSuchUserError, LastAdminError, EndsBeforeNowError."""
    async with changing(at) as session:
        await access.lock_admins(session)
        user = await _by_id(session, user_id)
        if ends_at is not None and ends_at <= await now(session):
            raise EndsBeforeNowError("ends_at lies in the past: to end a role now, revoke it")
        await access.bind(session, user_id, role, label, ends_at)
        await _keep_an_admin(session)
        ends = ends_at.isoformat() if ends_at else None
        await activity.note(
            session, actor, "roles.assign", user.username, "security", role=role, label=label, ends_at=ends
        )
        found = await access.bindings(session, user_id)
    return next(one for one in found if (one.role, one.label) == (role, label))


async def revoke(at: Connections, user_id: UUID, role: Role, label: str | None, actor: Actor) -> None:
    """Take a role from a user. Raises NoSuchUserError, NoSuchRoleError, LastAdminError."""
    async with changing(at) as session:
        await access.lock_admins(session)
        user = await _by_id(session, user_id)
        if not await access.unbind(session, user_id, role, label):
            what = f"for {label}" if label else "for everything"
            raise NoSuchRoleError(f"{user.username} does not hold the role {role} {what}")
        await _keep_an_admin(session)
        await activity.note(session, actor, "roles.revoke", user.username, "security", role=role, label=label)


async def bindings(at: Connections, user_id: UUID | None = None) -> Sequence[BindingRow]:
    """What binds one user, or all."""
    async with at.transaction() as session:
        return await access.bindings(session, user_id)


async def own_sessions(at: Connections, actor: Actor) -> Sequence[SessionRow]:
    """The caller's own sessions, the latest used first."""
    idle = timedelta(seconds=at.places.settings.gateway.session_idle_seconds)
    async with at.transaction() as session:
        return await sessions.of_user(session, _id_of(actor), idle)


async def end_other_sessions(at: Connections, actor: Actor, session_secret: str) -> None:
    """End every session of the caller's but this one, and every access token."""
    async with changing(at) as session:
        ended = await sessions.end_all(session, _id_of(actor), _digest(session_secret))
        await access.change_user(session, _id_of(actor))
        await activity.note(session, actor, "access.sign_out_elsewhere", actor.name, "security", sessions=ended)


async def _change_password(
    session: AsyncSession, user_id: UUID, username: str, hashed: str, actor: Actor, but: bytes | None = None
) -> int:
    await access.change_user(session, user_id, password_hash=hashed)
    await sign_in_links.end_all(session, user_id)
    ended = await sessions.end_all(session, user_id, but)
    await activity.note(session, actor, "users.password", username, "security", sessions=ended)
    return ended


async def _link(at: Connections, session: AsyncSession, user_id: UUID) -> Link:
    secret = secrets.token_urlsafe(32)
    life = timedelta(seconds=at.places.settings.gateway.link_seconds)
    return Link(secret, await sign_in_links.replace(session, user_id, _digest(secret), life))


async def _hashed(at: Connections, password: str, username: str) -> str:
    objection = passwords.objection(password, username)
    if objection:
        raise WeakPasswordError(objection)
    return await hashing(at).hashed(password)


async def _keep_an_admin(session: AsyncSession) -> None:
    """The statement after the change, under the lock of `lock_admins`: it sees what others have done before."""
    if await access.admins(session) == 0:
        raise LastAdminError


async def _named(session: AsyncSession, username: str) -> UserRow:
    found = await access.user_by_name(session, username)
    if found is None:
        raise NoSuchUserError(f"there is no user '{username}'; `vivesphere users list` shows them all")
    return found


async def _by_id(session: AsyncSession, user_id: UUID) -> UserRow:
    found = await access.user_by_id(session, user_id)
    if found is None:
        raise NoSuchUserError(f"there is no user {user_id}; `vivesphere users list` shows them all")
    return found


def _id_of(actor: Actor) -> UUID:
    if actor.user_id is None:
        raise PermissionError("only people and their keys have this: sign in as one")
    return actor.user_id


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
