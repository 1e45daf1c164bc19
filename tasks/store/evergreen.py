"""Evergreen: texts of a bot that keep, in several wordings."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, delete, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, Json, app_now, metadata, new_id, values
from tasks.store.bots import bots, in_scope

evergreen = Table(
    "evergreen",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("bot_id", Id, ForeignKey("bots.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column(
        "variants",
        ARRAY(Text),
        nullable=False,
        comment="wordings of one thing that one bot says; the one said longest ago comes next",
    ),
    Column("cooldown_days", Integer, nullable=False),
    Column("recurrence", Json, comment="null where it fills free turns instead"),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
)


@dataclass(frozen=True)
class EvergreenRow:
    """A text that keeps; `recurrence` is as people wrote it, None where it fills free turns."""

    id: UUID
    bot_id: UUID
    bot: str
    name: str
    variants: Sequence[str]
    cooldown_days: int
    recurrence: dict[str, Any] | None
    created_by: str
    created_at: datetime


_SELECTED = select(*evergreen.c, bots.c.handle.label("bot")).join_from(evergreen, bots)


async def add(session: AsyncSession, row: dict[str, Any]) -> UUID | None:
    """Insert one; None where its bot has one of this name."""
    statement = insert(evergreen).values(row).on_conflict_do_nothing().returning(evergreen.c.id)
    return (await session.execute(statement)).scalar_one_or_none()


async def of_bots(session: AsyncSession, within: Collection[str] | None) -> Sequence[EvergreenRow]:
    """Texts of bots within labels, by bot and name."""
    wanted = _SELECTED.where(in_scope(within)).order_by(func.lower(bots.c.handle), evergreen.c.name)
    return [EvergreenRow(**values(row)) for row in await session.execute(wanted)]


async def remove(session: AsyncSession, item_id: UUID, within: Collection[str] | None) -> EvergreenRow | None:
    """Delete one of a bot within labels, and answer it; None where there is none."""
    row = (await session.execute(_SELECTED.where(evergreen.c.id == item_id, in_scope(within)))).one_or_none()
    if row is None:
        return None
    await session.execute(delete(evergreen).where(evergreen.c.id == item_id))
    return EvergreenRow(**values(row))
