"""Links by which a person chooses a password: each for one use, until it expires."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Column, ForeignKey, LargeBinary, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.access import users
from tasks.store.base import Id, Instant, app_now, metadata, new_id

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
)

_OPEN = (sign_in_links.c.used_at.is_(None), sign_in_links.c.expires_at > app_now)


async def replace(session: AsyncSession, user_id: UUID, secret_sha256: bytes, life: timedelta) -> datetime:
    """Insert one, and void every other of the user; answers when it expires."""
    await end_all(session, user_id)
    found: datetime = (
        await session.execute(
            insert(sign_in_links)
            .values(user_id=user_id, secret_sha256=secret_sha256, expires_at=app_now + life)
            .returning(sign_in_links.c.expires_at)
        )
    ).scalar_one()
    return found


async def holder(session: AsyncSession, secret_sha256: bytes) -> str | None:
    """Name of the user whom an open link is for, or None; a disabled user's opens nothing."""
    found = await session.execute(
        select(users.c.username)
        .join_from(sign_in_links, users)
        .where(sign_in_links.c.secret_sha256 == secret_sha256, users.c.disabled_at.is_(None), *_OPEN)
    )
    return found.scalar_one_or_none()


async def use(session: AsyncSession, secret_sha256: bytes) -> UUID | None:
    """Use one up: whom it is for, or None where it is unknown, used or too old."""
    found = await session.execute(
        update(sign_in_links)
        .where(
            sign_in_links.c.secret_sha256 == secret_sha256,
            sign_in_links.c.user_id == users.c.id,
            users.c.disabled_at.is_(None),
            *_OPEN,
        )
        .values(used_at=app_now)
        .returning(sign_in_links.c.user_id)
    )
    return found.scalar_one_or_none()


async def end_all(session: AsyncSession, user_id: UUID) -> int:
    """Void every open link of a user; answers how many there were."""
    found = await session.execute(
        update(sign_in_links)
        .where(sign_in_links.c.user_id == user_id, *_OPEN)
        .values(used_at=app_now)
        .returning(sign_in_links.c.id)
    )
    return len(found.all())
