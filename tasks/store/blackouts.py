"""Blackouts: days on which a bot, a label's bots or the fleet say nothing that is planned."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Date, ForeignKey, Table, Text, delete, or_, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, new_id, values
from tasks.store.bots import bots, in_scope

blackouts = Table(
    "blackouts",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("day", Date, nullable=False),
    Column("bot_id", Id, ForeignKey("bots.id")),
    Column("label", Text),
    Column("reason", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
)


@dataclass(frozen=True)
class BlackoutRow:
    """A day, and whose; without `bot` and `label` the fleet's."""

    id: UUID
    day: date
    bot: str | None
    label: str | None
    reason: str
    created_by: str
    created_at: datetime


_SELECTED = select(
    *(blackouts.c[name] for name in ("id", "day", "label", "reason", "created_by", "created_at")),
    bots.c.handle.label("bot"),
).join_from(blackouts, bots, isouter=True)


async def add(session: AsyncSession, row: dict[str, Any]) -> UUID | None:
    """Insert one; None where it stands already."""
    statement = insert(blackouts).values(row).on_conflict_do_nothing().returning(blackouts.c.id)
    return (await session.execute(statement)).scalar_one_or_none()


async def since(session: AsyncSession, day: date, within: Collection[str] | None) -> Sequence[BlackoutRow]:
    """From a day on, as far as they touch bots within labels, by day."""
    seen = true() if within is None else or_(in_scope(within), blackouts.c.label.in_(within), _FLEET)
    found = await session.execute(_SELECTED.where(blackouts.c.day >= day, seen).order_by(blackouts.c.day))
    return [BlackoutRow(**values(row)) for row in found]


_FLEET = blackouts.c.bot_id.is_(None) & blackouts.c.label.is_(None)


async def remove(session: AsyncSession, blackout_id: UUID, within: Collection[str] | None) -> BlackoutRow | None:
    """Delete one that is for bots within labels alone, and answer it; None where there is none."""
    mine = true() if within is None else or_(in_scope(within), blackouts.c.label.in_(within))
    row = (await session.execute(_SELECTED.where(blackouts.c.id == blackout_id, mine))).one_or_none()
    if row is None:
        return None
    await session.execute(delete(blackouts).where(blackouts.c.id == blackout_id))
    return BlackoutRow(**values(row))
