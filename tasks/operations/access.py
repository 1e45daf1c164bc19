"""Sign-in of people and programs."""

import asyncio
import hashlib
import hmac
import secrets
from functools import cache
from uuid import UUID

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tasks.connections import Connections
from tasks.domain.roles import Actor, Permission, system
from tasks.operations import activity
from tasks.store import access

# Argon2 takes 64 MB a check: without a bound, a flood of sign-ins is a flood of memory.
_slots: asyncio.Semaphore | None = None


def _hasher() -> PasswordHash:
    return PasswordHash((Argon2Hasher(),))


@cache
def _stand_in() -> str:
    """A hash that no password fits, checked for names that do not exist: both answers take the same time."""
    return _hasher().hash(secrets.token_urlsafe(32))


async def sign_in(at: Connections, username: str, password: str) -> Actor | None:
    """The user whom name and password belong to; None for any other pair, and nothing tells which part was wrong."""
    found = await by_password(at, username, password)
    async with at.transaction() as session:
        actor = found or system("gateway")
        await activity.remark(session, actor, "access.sign_in" if found else "access.refused", username[:100])
    return found


async def by_password(at: Connections, username: str, password: str) -> Actor | None:
    """As `sign_in`, without a word in the log: for a program that looks whether a password still fits."""
    async with at.transaction() as session:
        user = await access.user_by_name(session, username)
    hashed = user.password_hash if user else await asyncio.to_thread(_stand_in)
    async with _semaphore(at.places.settings.gateway.hashing_slots):
        right = await asyncio.to_thread(_hasher().verify, password, hashed)
    return Actor(user.username, "user", user.grants, user.id) if user and right else None


async def denied(at: Connections, actor: Actor, permission: Permission) -> None:
    """Note that somebody asked for what he may not do."""
    async with at.transaction() as session:
        await activity.remark(session, actor, "access.denied", permission)


async def by_key(at: Connections, key: str) -> Actor | None:
    """The program that an API key `<id>:<secret>` belongs to, with its owner's roles; None for any other text."""
    name, _, secret = key.partition(":")
    try:
        key_id = UUID(name)
    except ValueError:
        return None
    async with at.transaction() as session:
        row = await access.key_by_id(session, key_id)
    if row is None or not hmac.compare_digest(row.secret_sha256, _digest(secret)):
        return None
    return Actor(f"{row.username}/{row.name}", "key", row.grants, row.user_id)


async def by_name(at: Connections, username: str) -> Actor | None:
    """A user as he stands now; None if he is gone or disabled."""
    async with at.transaction() as session:
        user = await access.user_by_name(session, username)
    return Actor(user.username, "user", user.grants, user.id) if user else None


async def ensure_admin(at: Connections, username: str, password: str) -> UUID:
    """Make the first admin, or give the one who stands this password; his roles stay."""
    hashed = await asyncio.to_thread(_hasher().hash, password)
    async with at.transaction() as session:
        user_id = await access.put_user(session, username, hashed, "admin")
        await activity.note(session, system("up"), "access.admin_set", username, "security")
    return user_id


async def new_key(at: Connections, user_id: UUID, name: str, actor: Actor) -> str:
    """A new API key `<id>:<secret>`, shown once; an older key of this name ends."""
    secret = secrets.token_urlsafe(32)
    async with at.transaction() as session:
        key_id = await access.replace_key(session, user_id, name, _digest(secret))
        await activity.note(session, actor, "access.key_made", name, "security", key_id=str(key_id))
    return f"{key_id}:{secret}"


def _semaphore(slots: int) -> asyncio.Semaphore:
    global _slots
    if _slots is None:
        _slots = asyncio.Semaphore(slots)
    return _slots


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
