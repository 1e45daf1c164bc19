"""Requests to X by window: how many were reserved, and what X itself said is left."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Column, Integer, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.posts import Left
from tasks.store.attempts import Room
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


# Only what is less than our own count leaves is kept: X counts what others send on the same app, too.
_TELL = text(
    """
    INSERT INTO rate_limits_told (subject_id, endpoint, remaining, resets_at)
    SELECT DISTINCT ON (subject_id) subject_id, 'POST /2/tweets', remaining, resets_at
    FROM (
        SELECT CASE item.per WHEN 'user' THEN bot.id ELSE bot.x_app_id END AS subject_id, item.remaining,
            item.resets_at, CASE item.per
                WHEN 'user' THEN :bot_most - (
                    SELECT count(*) FROM publish_attempts AS attempt WHERE attempt.bot_id = bot.id
                        AND marked_at > (SELECT app_now() - :bot_span) AND takes_a_place(ended))
                ELSE :app_most - window_used(bot.x_app_id, 'POST /2/tweets', (SELECT app_now() - :app_span))
            END AS left_by_our_count
        FROM unnest(CAST(:bot_ids AS uuid[]), CAST(:pers AS text[]), CAST(:remaining AS integer[]),
            CAST(:resets AS timestamptz[])) AS item (bot_id, per, remaining, resets_at)
        JOIN bots AS bot ON bot.id = item.bot_id
    ) AS told
    WHERE subject_id IS NOT NULL AND remaining < left_by_our_count AND resets_at > (SELECT app_now())
    ORDER BY subject_id, remaining
    ON CONFLICT (subject_id, endpoint) DO UPDATE
    SET remaining = excluded.remaining, resets_at = excluded.resets_at, told_at = excluded.told_at
    WHERE excluded.resets_at > rate_limits_told.resets_at OR excluded.remaining < rate_limits_told.remaining
    RETURNING subject_id
    """
)


async def tell(session: AsyncSession, left: Sequence[tuple[UUID, Left]], room: Room) -> Sequence[UUID]:
    """Keep what X says is left, given by bot; answers the bots and apps of which that is less than we thought."""
    given = {
        "bot_ids": [bot_id for bot_id, _ in left],
        "pers": [one.per for _, one in left],
        "remaining": [one.remaining for _, one in left],
        "resets": [one.resets_at for _, one in left],
        **asdict(room),
    }
    return [row.subject_id for row in await session.execute(_TELL, given)]


# Since the first of the 429 that came without any other answer in between. A bot silent for longer begins anew.
_THROTTLED_FOR = text(
    """
    SELECT bot.id, (SELECT app_now()) - min(attempt.marked_at) AS since
    FROM unnest(CAST(:bot_ids AS uuid[])) AS bot (id)
    JOIN publish_attempts AS attempt ON attempt.bot_id = bot.id AND attempt.ended = 'throttled'
        AND attempt.marked_at > (SELECT app_now() - CAST(:within AS interval))
        AND attempt.marked_at > coalesce((
            SELECT max(marked_at) FROM publish_attempts AS other WHERE other.bot_id = bot.id
                AND other.marked_at > (SELECT app_now() - CAST(:within AS interval))
                AND other.ended IN ('accepted', 'refused')), '-infinity')
    GROUP BY bot.id
    """
)
THROTTLED_WITHIN = timedelta(hours=1)


async def throttled_for(session: AsyncSession, bot_ids: Sequence[UUID]) -> Mapping[UUID, timedelta]:
    """For how long X has answered "too many" to a bot's posts, and nothing else, by bot."""
    found = await session.execute(_THROTTLED_FOR, {"bot_ids": bot_ids, "within": THROTTLED_WITHIN})
    return {row.id: row.since for row in found}


_PAUSE = text(
    """
    INSERT INTO rate_limits_told (subject_id, endpoint, remaining, resets_at)
    SELECT bot_id, 'POST /2/tweets', 0, app_now() + wait
    FROM unnest(CAST(:bot_ids AS uuid[]), CAST(:waits AS interval[])) AS item (bot_id, wait) ORDER BY bot_id
    ON CONFLICT (subject_id, endpoint) DO UPDATE
    SET remaining = 0, resets_at = greatest(rate_limits_told.resets_at, excluded.resets_at), told_at = excluded.told_at
    """
)


async def pause(session: AsyncSession, waits: Mapping[UUID, timedelta]) -> None:
    """Give out no post of these bots for a while, each for its own."""
    await session.execute(_PAUSE, {"bot_ids": list(waits), "waits": list(waits.values())})


_FORGET = text(
    """
    WITH old AS (DELETE FROM rate_windows WHERE bucket_at < (SELECT app_now()) - CAST(:kept AS interval))
    DELETE FROM rate_limits_told WHERE resets_at < (SELECT app_now())
    """
)


async def forget(session: AsyncSession, kept: timedelta) -> None:
    """Drop buckets that no window reaches any more, and what X said of windows that have ended."""
    await session.execute(_FORGET, {"kept": kept})
