"""Sessions of browsers: the secret is in the cookie alone, its digest is here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Column, ForeignKey, LargeBinary, Table, Text, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.roles import Grant
from tasks.store.access import first_end, grants, known, users
from tasks.store.base import Id, Instant, app_now, metadata, new_id, real_seconds_until, values

sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False, unique=True),
    Column("client", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("seen_at", Instant, nullable=False, server_default=app_now),
    Column("ends_at", Instant, nullable=False),
    Column("ended_at", Instant),
)


@dataclass(frozen=True)
class Holder:
    """Whose session it is, and what he may do now; nothing of that ends by a date for `stand_seconds`."""

    id: UUID
    user_id: UUID
    username: str
    grants: frozenset[Grant]
    stand_seconds: float


@dataclass(frozen=True)
class SessionRow:
    """A session in force; `client` is the address it was begun from."""

    id: UUID
    client: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime


async def begin(session: AsyncSession, user_id: UUID, secret_sha256: bytes, client: str, life: timedelta) -> UUID:
    """Insert one that ends after `life`, used or not."""
    given = {"user_id": user_id, "secret_sha256": secret_sha256, "client": client}
    found: UUID = (
        await session.execute(insert(sessions).values(**given, ends_at=app_now + life).returning(sessions.c.id))
    ).scalar_one()
    return found


async def see(session: AsyncSession, secret_sha256: bytes, idle: timedelta) -> Holder | None:
    """Whose it is, and that it is used now; None where it ended, or was not used for `idle`."""
    found = await session.execute(
        update(sessions)
        .where(
            sessions.c.secret_sha256 == secret_sha256,
            sessions.c.ended_at.is_(None),
            sessions.c.ends_at > app_now,
            sessions.c.seen_at > app_now - idle,
            sessions.c.user_id == users.c.id,
            users.c.disabled_at.is_(None),
        )
        .values(seen_at=app_now)
        .returning(
            sessions.c.id,
            sessions.c.user_id,
            users.c.username,
            grants,
            real_seconds_until(sessions.c.ends_at, first_end).label("stand_seconds"),
        )
    )
    row = found.one_or_none()
    return Holder(row.id, row.user_id, row.username, known(row.grants), row.stand_seconds) if row else None


async def of_user(session: AsyncSession, user_id: UUID, idle: timedelta) -> Sequence[SessionRow]:
    """A user's sessions in force, the latest used first."""
    wanted = (
        select(sessions.c.id, sessions.c.client, sessions.c.created_at, sessions.c.seen_at, sessions.c.ends_at)
        .where(
            sessions.c.user_id == user_id,
            sessions.c.ended_at.is_(None),
            sessions.c.ends_at > app_now,
            sessions.c.seen_at > app_now - idle,
        )
        .order_by(sessions.c.seen_at.desc())
    )
    return [SessionRow(**values(row)) for row in await session.execute(wanted)]


async def end(session: AsyncSession, secret_sha256: bytes) -> UUID | None:
    """End one; answers whose it was, None where there was none in force."""
    found = await session.execute(
        update(sessions)
        .where(sessions.c.secret_sha256 == secret_sha256, sessions.c.ended_at.is_(None))
        .values(ended_at=app_now)
        .returning(sessions.c.user_id)
    )
    return found.scalar_one_or_none()


async def end_all(session: AsyncSession, user_id: UUID, but: bytes | None = None) -> int:
    """End every session of a user, save the one whose digest is `but`; answers how many there were."""
    wanted = update(sessions).where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None))
    if but is not None:
        wanted = wanted.where(sessions.c.secret_sha256 != but)
    found = await session.execute(wanted.values(ended_at=app_now).returning(sessions.c.id))
    return len(found.all())


async def clear(session: AsyncSession, older_than: timedelta) -> None:
    """Forget what ended long ago."""
    await session.execute(
        delete(sessions).where(
            or_(sessions.c.ended_at < app_now - older_than, sessions.c.ends_at < app_now - older_than)
        )
    )
