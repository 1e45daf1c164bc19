"""API keys: made once, shown once, worth at most what their owner is."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from tasks.connections import Connections
from tasks.domain.roles import Actor, Role, covers, narrowed
from tasks.operations import activity
from tasks.operations.access import changing
from tasks.operations.users import EndsBeforeNowError, LastAdminError, NoSuchUserError
from tasks.store import access, api_keys
from tasks.store.access import UserRow
from tasks.store.api_keys import KeyRow
from tasks.store.base import now


class NoSuchKeyError(LookupError):
    """There is no such key, or it is somebody else's."""


class WorthlessKeyError(ValueError):
    """The owner holds no role that the key could be made for."""


@dataclass(frozen=True)
class NewKey:
    """A key with what opens the door, `<id>:<secret>`; nobody can see it a second time."""

    key: KeyRow
    secret: str


async def create(
    at: Connections,
    user_id: UUID,
    name: str,
    actor: Actor,
    *,
    role: Role | None = None,
    label: str | None = None,
    ends_at: datetime | None = None,
) -> NewKey:
    """Make a key of a user's; an older one of this name ends. With `role` or `label` it is worth no more than that."""
    secret = secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).digest()
    async with changing(at) as session:
        owner = await access.user_by_id(session, user_id)
        if owner is None:
            raise NoSuchUserError(f"there is no user {user_id}; `vivesphere users list` shows them all")
        worth = narrowed(owner.grants, role, label)
        if (role or label) and not worth:
            held = ", ".join(sorted(grant.role for grant in owner.grants)) or "none"
            raise WorthlessKeyError(f"{owner.username} holds no role that such a key could have; there is: {held}")
        if not _acts_for(actor, owner) or not covers(actor.grants, worth):
            raise PermissionError(f"{actor.name} cannot make a key that is worth more than he is himself")
        if ends_at is not None and ends_at <= await now(session):
            raise EndsBeforeNowError("ends_at lies in the past")
        key_id = await api_keys.replace(session, user_id, name, digest, role=role, label=label, ends_at=ends_at)
        subject = f"{owner.username}/{name}"
        await activity.note(
            session, actor, "keys.create", subject, "security", key_id=str(key_id), role=role, label=label
        )
        made = await api_keys.get(session, key_id)
    if made is None:
        raise NoSuchKeyError(f"there is no key {key_id}")
    return NewKey(made, f"{key_id}:{secret}")


async def rotate(at: Connections, key_id: UUID, actor: Actor) -> NewKey:
    """The next key for what this one is for; this one stays good for `rotation.api_keys.grace_seconds`.

    Raises NoSuchKeyError, also of a key that has been rotated already.
    """
    secret, new_id = secrets.token_urlsafe(32), uuid4()
    grace = timedelta(seconds=at.places.settings.rotation.api_keys.grace_seconds)
    async with changing(at) as session:
        key = await api_keys.get(session, key_id)
        owner = await access.user_by_id(session, key.user_id) if key else None
        if key is None or key.replaced_at is not None or owner is None or not _acts_for(actor, owner):
            raise NoSuchKeyError(f"there is no key {key_id}, or another has taken its place")
        await api_keys.put_beside(session, new_id, key_id, hashlib.sha256(secret.encode()).digest())
        await api_keys.end_at(session, key_id, grace)
        await activity.note(
            session, actor, "keys.rotate", f"{owner.username}/{key.name}", "security", key_id=str(new_id)
        )
        made = await api_keys.get(session, new_id)
    if made is None:
        raise NoSuchKeyError(f"there is no key {new_id}")
    return NewKey(made, f"{new_id}:{secret}")


async def of_user(at: Connections, user_id: UUID) -> Sequence[KeyRow]:
    """A user's keys in force, by name."""
    async with at.transaction() as session:
        return await api_keys.of_user(session, user_id)


async def revoke(at: Connections, key_id: UUID, actor: Actor) -> None:
    """End a key of the caller's, or anybody's if he may change users. Raises NoSuchKeyError, LastAdminError."""
    async with changing(at) as session:
        await access.lock_admins(session)
        key = await api_keys.get(session, key_id)
        owner = await access.user_by_id(session, key.user_id) if key else None
        if key is None or owner is None or not _acts_for(actor, owner):
            raise NoSuchKeyError(f"there is no key {key_id}")
        await api_keys.revoke(session, key_id)
        if await access.admins(session) == 0:
            raise LastAdminError
        await activity.note(session, actor, "keys.revoke", key.name, "security", key_id=str(key_id))


def _acts_for(actor: Actor, owner: UserRow) -> bool:
    """The owner himself, or a key of his that is not narrowed; and who may change users."""
    return actor.may_everywhere("users.write") or (actor.user_id == owner.id and owner.grants <= actor.grants)
