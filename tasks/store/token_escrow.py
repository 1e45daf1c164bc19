"""The escrow: tokens that X has granted and the vault may not hold yet, sealed to a key of the vault."""

from uuid import UUID

from sqlalchemy import Column, ForeignKey, Table, Text, delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata

token_escrow = Table(
    "token_escrow",
    metadata,
    Column("attempt_id", Id, ForeignKey("refresh_attempts.id"), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("sealed_at", Instant, nullable=False, server_default=app_now),
)


async def add(session: AsyncSession, attempt_id: UUID, sealed: str) -> None:
    """Keep what X answered; doing it twice does no harm, because an answer comes once."""
    await session.execute(insert(token_escrow).values(attempt_id=attempt_id, sealed=sealed).on_conflict_do_nothing())


async def remove(session: AsyncSession, attempt_id: UUID) -> None:
    """Forget it: the vault holds the tokens, or newer ones."""
    await session.execute(delete(token_escrow).where(token_escrow.c.attempt_id == attempt_id))
