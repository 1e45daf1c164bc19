"""Links by which an account's owner connects it again: each for one bot, one account and one use."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Column, ForeignKey, LargeBinary, Table, Text, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, new_id, values

connect_links = Table(
    "connect_links",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("bot_id", Id, ForeignKey("bots.id"), nullable=False),
    Column("x_user_id", Text),
    Column("secret_sha256", LargeBinary, nullable=False, unique=True),
    Column("made_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant),
)

_OPEN = (connect_links.c.ended_at.is_(None), connect_links.c.expires_at > app_now)


@dataclass(frozen=True)
class LinkRow:
    """An open link: `x_user_id` is the one account that may come back through it, None where none ever was."""

    id: UUID
    bot_id: UUID
    x_user_id: str | None
    expires_at: datetime


_SHOWN = [connect_links.c[name] for name in LinkRow.__dataclass_fields__]


async def add(
    session: AsyncSession, bot_id: UUID, x_user_id: str | None, secret_sha256: bytes, made_by: str, life: timedelta
) -> datetime:
    """Insert one; answers when it expires. The one before must have ended."""
    row = {"bot_id": bot_id, "x_user_id": x_user_id, "secret_sha256": secret_sha256, "made_by": made_by}
    found: datetime = (
        await session.execute(
            insert(connect_links).values(**row, expires_at=app_now + life).returning(connect_links.c.expires_at)
        )
    ).scalar_one()
    return found


async def opened(session: AsyncSession, secret_sha256: bytes) -> LinkRow | None:
    """The open link of this secret, or None."""
    row = (
        await session.execute(select(*_SHOWN).where(connect_links.c.secret_sha256 == secret_sha256, *_OPEN))
    ).one_or_none()
    return LinkRow(**values(row)) if row else None


async def get(session: AsyncSession, link_id: UUID) -> LinkRow | None:
    """An open link by its id, or None."""
    row = (await session.execute(select(*_SHOWN).where(connect_links.c.id == link_id, *_OPEN))).one_or_none()
    return LinkRow(**values(row)) if row else None


async def use(session: AsyncSession, link_id: UUID) -> bool:
    """Use one up; False where that was done before, or it is void."""
    found = await session.execute(
        update(connect_links)
        .where(connect_links.c.id == link_id, *_OPEN)
        .values(ended_at=app_now)
        .returning(connect_links.c.id)
    )
    return found.one_or_none() is not None


async def end_of_bot(session: AsyncSession, bot_id: UUID) -> None:
    """Void the link that a bot has."""
    await session.execute(
        update(connect_links)
        .where(connect_links.c.bot_id == bot_id, connect_links.c.ended_at.is_(None))
        .values(ended_at=app_now)
    )
