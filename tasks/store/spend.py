"""Money: what requests to X cost, by day, app, bot and kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Numeric, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, metadata, new_id, values

spend_ledger = Table(
    "spend_ledger",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("spent_on", Date, nullable=False),
    Column("x_app_id", Id, ForeignKey("x_apps.id")),
    Column("bot_id", Id, ForeignKey("bots.id")),
    Column("kind", Text, nullable=False),
    Column("resources", BigInteger, nullable=False, comment="requests, or what they bring, as X counts this kind"),
    Column("usd", Numeric(14, 5), nullable=False),
)

spend_months = Table(
    "spend_months",
    metadata,
    Column("x_app_id", Id, ForeignKey("x_apps.id"), primary_key=True),
    Column("month", Date, primary_key=True),
    Column("usd", Numeric(14, 5), nullable=False),
)

_BOOK = text("SELECT book_spend(:instant, :app_id, :bot_id, :kind, :resources, :usd)")


async def book(
    session: AsyncSession,
    instant: datetime,
    *,
    app_id: UUID | None,
    bot_id: UUID | None,
    kind: str,
    resources: int,
    usd: Decimal,
) -> None:
    """Add to what was spent on a day and in its month; negative numbers give back what was reserved and not used."""
    given = {"instant": instant, "app_id": app_id, "bot_id": bot_id, "kind": kind, "resources": resources, "usd": usd}
    await session.execute(_BOOK, given)


@dataclass(frozen=True)
class Spent:
    """What one kind of request cost a bot in a month, and what is scheduled for the rest of it; None where an app acts
    for itself."""

    app: str | None
    bot: str | None
    labels: Sequence[str]
    kind: str
    resources: int
    usd: Decimal
    scheduled: int


# Booked and scheduled are of different rows: a post is booked from its mark on, and scheduled before it.
_MONTH = text(
    """
    SELECT app.name AS app, bot.handle AS bot, coalesce(bot.labels, '{}') AS labels, item.kind,
        sum(item.resources)::bigint AS resources, sum(item.usd) AS usd, sum(item.scheduled)::bigint AS scheduled
    FROM (
        SELECT x_app_id, bot_id, kind, resources, usd, 0 AS scheduled FROM spend_ledger
        WHERE spent_on >= :month AND spent_on < :month + interval '1 month'
        UNION ALL
        SELECT bot.x_app_id, bot.id, post.price_kind, 0, 0, count(*) FROM posts AS post
        JOIN bots AS bot ON bot.id = post.bot_id
        WHERE post.status IN ('awaiting_approval', 'scheduled', 'claimed')
            AND utc_month(greatest(post.next_at, post.planned_at)) = :month
        GROUP BY 1, 2, 3
    ) AS item
    LEFT JOIN x_apps AS app ON app.id = item.x_app_id
    LEFT JOIN bots AS bot ON bot.id = item.bot_id
    WHERE CAST(:labels AS text[]) IS NULL OR bot.labels && CAST(:labels AS text[])
    GROUP BY app.name, bot.handle, bot.labels, item.kind
    ORDER BY app.name NULLS FIRST, bot.handle NULLS FIRST, item.kind
    """
)


async def month(session: AsyncSession, first: date, labels: Sequence[str] | None) -> Sequence[Spent]:
    """What a month cost and will cost by app, bot and kind; only bots with one of the labels where any are given."""
    given = {"month": first, "labels": None if labels is None else list(labels)}
    return [Spent(**values(row)) for row in await session.execute(_MONTH, given)]


_OF_BOTS = text(
    """
    SELECT bot_id::text AS bot, sum(usd)::double precision AS usd FROM spend_ledger
    JOIN bots AS bot ON bot.id = bot_id
    WHERE spent_on >= :first AND spent_on <= :last AND bears_one(bot, CAST(:labels AS text[]))
    GROUP BY bot_id
    """
)


async def by_bot(session: AsyncSession, first: date, last: date, labels: Sequence[str] | None) -> dict[str, float]:
    """USD that each bot that bears one of the labels cost from one day to another, that one included, by its id."""
    given = {"first": first, "last": last, "labels": None if labels is None else list(labels)}
    return {row.bot: row.usd for row in await session.execute(_OF_BOTS, given)}
