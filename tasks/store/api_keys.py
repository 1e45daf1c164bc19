"""Keys by which programs call us; the secret itself is nowhere, its digest is here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Column, ForeignKey, LargeBinary, Table, Text, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.roles import Grant, Role, narrowed
from tasks.store.access import first_end, grants, known, users
from tasks.store.base import Id, Instant, app_now, metadata, new_id, real_seconds_until, values

# How exactly we know when a key was used last: not worth a write at each request.
USED_WITHIN = timedelta(minutes=1)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("role", Text),
    Column("label", Text),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("ends_at", Instant),
    Column("revoked_at", Instant),
    Column("used_at", Instant),
    Column("replaced_at", Instant),
)


@dataclass(frozen=True)
class Holder:
    """A key in force, with its owner and what it grants now.

    `stand_seconds`: for how long neither it nor a role ends by a date; None where nothing does.
    """

    name: str
    secret_sha256: bytes
    user_id: UUID
    username: str
    grants: frozenset[Grant]
    stand_seconds: float | None


@dataclass(frozen=True)
class KeyRow:
    """A key without its secret; made for one role or one label where these are set."""

    id: UUID
    user_id: UUID
    name: str
    role: Role | None
    label: str | None
    created_at: datetime
    ends_at: datetime | None
    used_at: datetime | None
    replaced_at: datetime | None


_SHOWN = (
    api_keys.c.id,
    api_keys.c.user_id,
    api_keys.c.name,
    api_keys.c.role,
    api_keys.c.label,
    api_keys.c.created_at,
    api_keys.c.ends_at,
    api_keys.c.used_at,
    api_keys.c.replaced_at,
)
_IN_FORCE = (api_keys.c.revoked_at.is_(None), or_(api_keys.c.ends_at.is_(None), api_keys.c.ends_at > app_now))


async def replace(
    session: AsyncSession,
    user_id: UUID,
    name: str,
    secret_sha256: bytes,
    *,
    role: Role | None = None,
    label: str | None = None,
    ends_at: datetime | None = None,
) -> UUID:
    """Revoke a user's key of this name, if there is one, and insert the new one."""
    await session.execute(
        update(api_keys)
        .where(api_keys.c.user_id == user_id, api_keys.c.name == name, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=app_now)
    )
    given = {"user_id": user_id, "name": name, "secret_sha256": secret_sha256}
    found: UUID = (
        await session.execute(
            insert(api_keys).values(**given, role=role, label=label, ends_at=ends_at).returning(api_keys.c.id)
        )
    ).scalar_one()
    return found


async def put_beside(session: AsyncSession, key_id: UUID, old: UUID | None, secret_sha256: bytes) -> None:
    """A key of this id for what `old` is for; both open the door. A second call only changes its secret."""
    await session.execute(
        update(api_keys).where(api_keys.c.id == old, api_keys.c.replaced_at.is_(None)).values(replaced_at=app_now)
    )
    kept = ("user_id", "name", "role", "label")
    like = select(
        bindparam("new_id", key_id, Id),
        bindparam("digest", secret_sha256, LargeBinary),
        *(api_keys.c[name] for name in kept),
    ).where(api_keys.c.id == old)
    statement = insert(api_keys).from_select(["id", "secret_sha256", *kept], like)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[api_keys.c.id], set_={"secret_sha256": statement.excluded.secret_sha256}
        )
    )


async def take_its_place_again(session: AsyncSession, key_id: UUID) -> None:
    """The key that was to take this one's place has gone."""
    await session.execute(update(api_keys).where(api_keys.c.id == key_id).values(replaced_at=None))


async def end_at(session: AsyncSession, key_id: UUID, after: timedelta) -> None:
    """Let a key end after so long, or sooner if it would."""
    await session.execute(
        update(api_keys)
        .where(api_keys.c.id == key_id)
        .values(ends_at=func.least(func.coalesce(api_keys.c.ends_at, app_now + after), app_now + after))
    )


async def holder(session: AsyncSession, key_id: UUID) -> Holder | None:
    """A key in force of a user who is not disabled, or None."""
    wanted = (
        select(
            api_keys,
            users.c.username,
            grants,
            real_seconds_until(api_keys.c.ends_at, first_end).label("stand_seconds"),
        )
        .join_from(api_keys, users)
        .where(api_keys.c.id == key_id, users.c.disabled_at.is_(None), *_IN_FORCE)
    )
    row = (await session.execute(wanted)).one_or_none()
    if row is None:
        return None
    held = narrowed(known(row.grants), row.role, row.label)
    return Holder(row.name, bytes(row.secret_sha256), row.user_id, row.username, held, row.stand_seconds)


async def used(session: AsyncSession, key_id: UUID) -> None:
    """Note that a key was used, to the minute."""
    await session.execute(
        update(api_keys)
        .where(api_keys.c.id == key_id, or_(api_keys.c.used_at.is_(None), api_keys.c.used_at < app_now - USED_WITHIN))
        .values(used_at=app_now)
    )


async def of_user(session: AsyncSession, user_id: UUID) -> Sequence[KeyRow]:
    """A user's keys in force, by name."""
    wanted = select(*_SHOWN).where(api_keys.c.user_id == user_id, *_IN_FORCE).order_by(api_keys.c.name)
    return [KeyRow(**values(row)) for row in await session.execute(wanted)]


async def get(session: AsyncSession, key_id: UUID) -> KeyRow | None:
    """A key in force, or None."""
    row = (await session.execute(select(*_SHOWN).where(api_keys.c.id == key_id, *_IN_FORCE))).one_or_none()
    return KeyRow(**values(row)) if row else None


async def revoke(session: AsyncSession, key_id: UUID) -> None:
    """End one key."""
    await session.execute(
        update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=app_now)
    )


async def revoke_all(session: AsyncSession, user_id: UUID) -> Sequence[str]:
    """End every key of a user; answers their names."""
    found = await session.execute(
        update(api_keys)
        .where(api_keys.c.user_id == user_id, *_IN_FORCE)
        .values(revoked_at=app_now)
        .returning(api_keys.c.name)
    )
    return sorted(row.name for row in found)
