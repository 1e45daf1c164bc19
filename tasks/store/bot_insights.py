"""Insights: how each bot does by its posts of late, as the last run has found it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table, Text, delete, func, insert, select
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.insight import Verdict
from tasks.store.base import Id, Instant, app_now, metadata, values
from tasks.store.bots import bots, in_scope

bot_insights = Table(
    "bot_insights",
    metadata,
    Column("bot_id", Id, ForeignKey("bots.id"), primary_key=True),
    Column("made_at", Instant, nullable=False, server_default=app_now),
    Column("days", Integer, nullable=False),
    Column("posts", BigInteger, nullable=False),
    Column("impressions", BigInteger, nullable=False),
    Column("engaged", BigInteger, nullable=False),
    *(Column(name, DOUBLE_PRECISION) for name in ("rate", "rate_low", "rate_high", "x_rate", "half_life_hours")),
    Column("followers", BigInteger),
    Column("gained", BigInteger),
    Column("weekly", DOUBLE_PRECISION),
    Column("verdict", Text, nullable=False),
    Column("share", DOUBLE_PRECISION, comment="views of a post against the bot's own history, 1 is as usual"),
    Column("z", DOUBLE_PRECISION),
)


@dataclass(frozen=True)
class BotInsight:
    """How a bot does, by its posts of the last `days` days that were a day old at `made_at`."""

    bot: str
    made_at: datetime
    days: int
    posts: int
    impressions: int
    engaged: int
    rate: float | None
    rate_low: float | None
    rate_high: float | None
    x_rate: float | None
    half_life_hours: float | None
    followers: int | None
    gained: int | None
    weekly: float | None
    verdict: Verdict
    share: float | None
    z: float | None


async def replace(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put these in the place of all that there were."""
    await session.execute(delete(bot_insights))
    if rows:
        await session.execute(insert(bot_insights), list(rows))


async def of_bots(
    session: AsyncSession, within: Collection[str] | None, handles: Sequence[str] | None = None
) -> Sequence[BotInsight]:
    """Of bots within labels, by handle; of these handles alone where any are given."""
    columns = [column for column in bot_insights.c if column.name != "bot_id"]
    wanted = (
        select(bots.c.handle.label("bot"), *columns)
        .join_from(bot_insights, bots)
        .where(in_scope(within))
        .order_by(func.lower(bots.c.handle))
    )
    if handles is not None:
        wanted = wanted.where(func.lower(bots.c.handle).in_([handle.lower() for handle in handles]))
    return [BotInsight(**values(row)) for row in await session.execute(wanted)]
