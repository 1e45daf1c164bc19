"""Requests to X by window: how many were reserved, and what X itself said is left."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Column, Integer, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata

rate_windows = Table(
    "rate_windows",
    metadata,
    Column("subject_id", Id, primary_key=True, comment="a bot or an app"),
    Column("endpoint", Text, primary_key=True),
    Column("bucket_at", Instant, primary_key=True),
    Column("used", Integer, nullable=False),
)

rate_limits_told = Table(
    "rate_limits_told",
    metadata,
    Column("subject_id", Id, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("remaining", Integer, nullable=False),
    Column("resets_at", Instant, nullable=False),
    Column("told_at", Instant, nullable=False, server_default=app_now),
)


@dataclass(frozen=True)
class Reserved:
    """A place and money at `granted_at`, or why not, and when to come again."""

    granted_at: datetime | None
    waits_until: datetime | None
    waits_because: str | None


_RESERVE = text(
    """
    SELECT granted_at, waits_until, waits_because FROM reserve_request(
        :app_id, :bot_id, :endpoint, CAST(:most AS integer), :span, :words, :kind, :resources, :price, :money_share,
        :lock_timeout_ms)
    """
)


async def reserve(
    session: AsyncSession,
    *,
    app_id: UUID | None,
    bot_id: UUID | None,
    endpoint: str,
    most: int | None,
    span: timedelta,
    words: str,
    kind: str,
    resources: int,
    price: Decimal,
    money_share: Decimal,
    lock_timeout_ms: int,
) -> Reserved:
    """A place for one request that is no post, and money for what it may bring; `most` None where X names no limit."""
    given = {
        "app_id": app_id,
        "bot_id": bot_id,
        "endpoint": endpoint,
        "most": most,
        "span": span,
        "words": words,
        "kind": kind,
        "resources": resources,
        "price": price,
        "money_share": money_share,
        "lock_timeout_ms": lock_timeout_ms,
    }
    return Reserved(*(await session.execute(_RESERVE, given)).one())


@dataclass(frozen=True)
class Told:
    """What X's headers said of a bot or an app: so many are left until `resets_at`."""

    subject_id: UUID
    endpoint: str
    remaining: int
    resets_at: datetime
