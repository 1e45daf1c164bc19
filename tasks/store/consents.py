"""Authorisations under way: an owner was sent to X and has not come back yet."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Column, ForeignKey, LargeBinary, Table, insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, new_id

consents = Table(
    "consents",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("bot_id", Id, ForeignKey("bots.id"), nullable=False),
    Column("state_sha256", LargeBinary, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("connect_link_id", Id, ForeignKey("connect_links.id")),
)


async def add(
    session: AsyncSession, bot_id: UUID, state_sha256: bytes, lifetime: timedelta, connect_link_id: UUID | None
) -> UUID:
    """Open one; the state itself is known to the browser alone. A connect link that led to it is named."""
    found: UUID = (
        await session.execute(
            insert(consents)
            .values(
                bot_id=bot_id,
                state_sha256=state_sha256,
                expires_at=app_now + lifetime,
                connect_link_id=connect_link_id,
            )
            .returning(consents.c.id)
        )
    ).scalar_one()
    return found


async def use(session: AsyncSession, state_sha256: bytes) -> tuple[UUID, UUID, UUID | None] | None:
    """Use one up: (consent id, bot id, connect link's id), or None where it is unknown, used or too old."""
    row = (
        await session.execute(
            update(consents)
            .where(
                consents.c.state_sha256 == state_sha256, consents.c.used_at.is_(None), consents.c.expires_at > app_now
            )
            .values(used_at=app_now)
            .returning(consents.c.id, consents.c.bot_id, consents.c.connect_link_id)
        )
    ).one_or_none()
    return (row.id, row.bot_id, row.connect_link_id) if row else None
