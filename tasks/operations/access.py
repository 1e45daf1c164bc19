"""Who calls us: people by password, link or session, programs by key."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from tasks.connections import Connections
from tasks.domain.roles import Actor, Permission, system
from tasks.operations import activity
from tasks.operations.passwords import hashing
from tasks.store import access, api_keys, sessions, sign_in_attempts
from tasks.store.access import UserRow

# Ended sessions stay visible for whoever looks into an incident.
ENDED_SESSIONS_KEPT = timedelta(days=30)
REMEMBERED_MAX = 10_000
# Tells a session's secret from tokens and keys wherever one of them is shown.
SESSION_PREFIX = "session."


@dataclass(frozen=True)
class Recognised:
    """Who it is, and for how many seconds from the question on no role of his, nor what he showed, ends by a date."""

    actor: Actor
    seconds: float


@dataclass
class Remembered:
    """Who was recognised within the last seconds, by the digest of what he showed.

    Every change of users, roles and keys in this process forgets it all; one in another process counts once the
    seconds have passed. What ends by a date is remembered up to that instant.
    """

    found: OrderedDict[bytes, tuple[float, Actor]] = field(default_factory=OrderedDict)
    changes: int = 0

    def get(self, shown: str) -> Recognised | None:
        """Who it was, if it is not too long ago."""
        until, actor = self.found.get(_digest(shown), (0.0, None))
        left = until - time.monotonic()
        return Recognised(actor, left) if actor is not None and left > 0 else None

    def put(self, shown: str, actor: Actor, until: float, changes: int) -> None:
        """Remember until an instant of the monotonic clock, unless something has changed since `changes` was read."""
        if changes != self.changes:
            return
        self.found[_digest(shown)] = (until, actor)
        if len(self.found) > REMEMBERED_MAX:
            self.found.popitem(last=False)

    def drop(self, shown: str) -> None:
        """Look this one up again."""
        self.found.pop(_digest(shown), None)

    def forget(self) -> None:
        """Look everybody up again."""
        self.changes += 1
        self.found.clear()


def remembered(at: Connections) -> Remembered:
    """The one of this process."""
    return at.kept(Remembered, Remembered)


@asynccontextmanager
async def changing(at: Connections) -> AsyncIterator[AsyncSession]:
    """A transaction that changes who may do what; whoever was recognised before it is looked up again after it."""
    try:
        async with at.transaction() as session:
            yield session
    finally:
        remembered(at).forget()


async def sign_in(at: Connections, username: str, password: str, client: str) -> UserRow | None:
    """The user whom name and password belong to; None for any other pair. Raises BusyError."""
    found = await prove(at, username, password, client)
    if found:
        async with at.transaction() as session:
            await activity.remark(session, person(found), "access.sign_in", found.username, client=client)
    return found


async def prove(at: Connections, username: str, password: str, client: str) -> UserRow | None:
    """Whether somebody is who he says he is. Neither the answer nor its time tells why not: no such user, another
    password, disabled, or too many attempts by this name or from this client. Raises BusyError."""
    wanted = at.places.settings.gateway
    name = username.strip().lower()[:100]
    by_user, by_client = f"user {name}", f"client {client}"
    window = timedelta(seconds=wanted.lock_seconds)
    async with hashing(at).turn():
        async with at.transaction() as session:
            tried = await sign_in_attempts.count(session, (by_user, by_client), window)
            user = await access.user_by_name(session, name)
        open_to = user if user and user.disabled_at is None else None
        right = await hashing(at).fits(password, open_to.password_hash if open_to else None)
    locked = tried[by_user] > wanted.attempts_max or tried[by_client] > wanted.client_attempts_max
    found = open_to if right and not locked else None
    async with at.transaction() as session:
        await sign_in_attempts.clear(session, window)
        if found:
            await sign_in_attempts.forgive(session, by_user, by_client)
        else:
            # A name that nobody has is often a password typed into the wrong field.
            subject = user.username if user else "a name that nobody has"
            await activity.remark(session, system("gateway"), "access.refused", subject, client=client, locked=locked)
    return found


async def begin_session(at: Connections, user: UserRow, client: str) -> str:
    """The secret of a new session; it is in the browser's cookie alone."""
    secret = SESSION_PREFIX + secrets.token_urlsafe(32)
    life = timedelta(seconds=at.places.settings.gateway.session_seconds)
    async with at.transaction() as session:
        await sessions.clear(session, ENDED_SESSIONS_KEPT)
        await sessions.begin(session, user.id, _digest(secret), client, life)
    return secret


async def end_session(at: Connections, secret: str) -> None:
    """End one, if it is in force."""
    async with changing(at) as session:
        user_id = await sessions.end(session, _digest(secret))
        user = await access.user_by_id(session, user_id) if user_id else None
        if user:
            await activity.remark(session, person(user), "access.sign_out", user.username)


async def by_session(at: Connections, secret: str) -> Recognised | None:
    """The person whose session this is; being asked keeps it from ending for want of use."""
    idle = timedelta(seconds=at.places.settings.gateway.session_idle_seconds)
    async with at.transaction() as session:
        found = await sessions.see(session, _digest(secret), idle)
    if found is None:
        return None
    return Recognised(
        Actor(found.username, "user", found.grants, found.user_id), min(found.stand_seconds, idle.total_seconds())
    )


async def by_key(at: Connections, key: str) -> Recognised | None:
    """The program that an API key `<id>:<secret>` belongs to, with its owner's roles or what is left of them in a
    narrowed key; None for any other text."""
    name, _, secret = key.partition(":")
    try:
        key_id = UUID(name)
    except ValueError:
        return None
    async with at.transaction() as session:
        found = await api_keys.holder(session, key_id)
        if found is None or not hmac.compare_digest(found.secret_sha256, _digest(secret)):
            return None
        await api_keys.used(session, key_id)
    actor = Actor(f"{found.username}/{found.name}", "key", found.grants, found.user_id)
    return Recognised(actor, _standing(found.stand_seconds))


async def by_name(at: Connections, username: str, generation: int) -> Recognised | None:
    """The user of an access token as he stands now; None if he is gone or disabled, or the token is void."""
    async with at.transaction() as session:
        user = await access.user_by_name(session, username)
    valid = user is not None and user.disabled_at is None and user.generation == generation
    return Recognised(person(user), _standing(user.stand_seconds)) if user and valid else None


async def denied(at: Connections, actor: Actor, permission: Permission) -> None:
    """Note that somebody asked for what he may not do."""
    async with at.transaction() as session:
        await activity.remark(session, actor, "access.denied", permission)


def person(user: UserRow) -> Actor:
    """A user as one who acts."""
    return Actor(user.username, "user", user.grants, user.id)


def _standing(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
