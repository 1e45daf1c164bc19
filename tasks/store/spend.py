"""Money: what requests to X cost, by day, app, bot and kind."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Numeric, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, metadata, new_id

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
