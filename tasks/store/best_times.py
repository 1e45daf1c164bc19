"""Best times: what each hour of the week is worth to a persona, as the last run has learnt it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Integer, SmallInteger, Table, delete, insert, select
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, values
from tasks.store.bots import bots

best_times = Table(
    "best_times",
    metadata,
    Column("persona_id", Id, ForeignKey("personas.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "weekday",
        SmallInteger,
        primary_key=True,
        comment="0 is Monday, in the zone of each bot that speaks with the persona",
    ),
    Column("hour", SmallInteger, primary_key=True),
    Column("posts", Integer, nullable=False),
    Column(
        "lift",
        DOUBLE_PRECISION,
        nullable=False,
        comment="what a post does at this hour, over what it does at the average hour of the week",
    ),
    Column("low", DOUBLE_PRECISION, nullable=False),
    Column("high", DOUBLE_PRECISION, nullable=False),
    Column("made_at", Instant, nullable=False, server_default=app_now),
)


@dataclass(frozen=True)
class HourOfWeek:
    """What an hour of the week is worth; `lift` 1.2 is 20 % better than the average hour, `low` to `high` with 95 %."""

    weekday: int
    hour: int
    posts: int
    lift: float
    low: float
    high: float
    made_at: datetime


async def replace(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put these in the place of all that there were."""
    await session.execute(delete(best_times))
    if rows:
        await session.execute(insert(best_times), list(rows))


async def of_bot(session: AsyncSession, bot_id: UUID) -> Sequence[HourOfWeek]:
    """The week of a bot's persona from Monday 0 o'clock on; nothing where nothing has been learnt yet."""
    names = [best_times.c[name] for name in ("weekday", "hour", "posts", "lift", "low", "high", "made_at")]
    wanted = (
        select(*names)
        .join(bots, bots.c.persona_id == best_times.c.persona_id)
        .where(bots.c.id == bot_id)
        .order_by(best_times.c.weekday, best_times.c.hour)
    )
    return [HourOfWeek(**values(row)) for row in await session.execute(wanted)]
