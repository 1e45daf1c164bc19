"""Results: how each post stood when it was a day old, once and for all, and sums over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import BigInteger, Column, Table, Text, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, metadata, values

post_results = Table(
    "post_results",
    metadata,
    Column("post_id", Id, primary_key=True),
    Column("bot_id", Id, nullable=False),
    Column("published_at", Instant, primary_key=True),
    Column("source", Text, nullable=False),
    Column("template", Text),
    Column("measured_at", Instant, nullable=False),
    Column("impressions", BigInteger, nullable=False),
    Column("engaged", BigInteger, nullable=False),
    Column("engagements", BigInteger),
    *(Column(f"seen_{age}h", BigInteger) for age in (1, 3, 6, 12)),
)

# The last snapshot of a post's first day, if it is of the second half of it: posts are compared at one age. Replies and
# the later parts of threads are seen by other people than posts are, and stay out.
_SETTLE = text(
    """
    INSERT INTO post_results (post_id, bot_id, published_at, source, template, measured_at, impressions, engaged,
        engagements, seen_1h, seen_3h, seen_6h, seen_12h)
    SELECT post.id, post.bot_id, post.published_at, post.source, post.template, stood.bucket_at, stood.impressions,
        coalesce(likes, 0) + coalesce(reposts, 0) + coalesce(replies, 0) + coalesce(quotes, 0) + coalesce(bookmarks, 0),
        stood.engagements, seen_1h, seen_3h, seen_6h, seen_12h
    FROM posts AS post
    CROSS JOIN LATERAL (
        SELECT * FROM post_metrics AS one
        WHERE one.post_id = post.id AND impressions IS NOT NULL AND bucket_at > post.published_at + interval '12 hours'
            AND bucket_at <= post.published_at + interval '24 hours'
        ORDER BY bucket_at DESC LIMIT 1
    ) AS stood
    CROSS JOIN LATERAL (
        SELECT max(impressions) FILTER (WHERE age > interval '30 minutes' AND age <= interval '1 hour') AS seen_1h,
            max(impressions) FILTER (WHERE age > interval '1 hour' AND age <= interval '3 hours') AS seen_3h,
            max(impressions) FILTER (WHERE age > interval '3 hours' AND age <= interval '6 hours') AS seen_6h,
            max(impressions) FILTER (WHERE age > interval '6 hours') AS seen_12h
        FROM (
            SELECT impressions, bucket_at - post.published_at AS age FROM post_metrics AS one
            WHERE one.post_id = post.id AND bucket_at > post.published_at
                AND bucket_at <= post.published_at + interval '12 hours'
        ) AS young
    ) AS curve
    WHERE post.status = 'published' AND post.published_at >= :since AND post.published_at < :until
        AND post.reply_to_x_post_id IS NULL AND coalesce(post.thread_place, 1) = 1
        AND (:anew OR NOT EXISTS (
            SELECT 1 FROM post_results AS known
            WHERE known.post_id = post.id AND known.published_at = post.published_at))
    ON CONFLICT (post_id, published_at) DO UPDATE SET measured_at = excluded.measured_at,
        impressions = excluded.impressions, engaged = excluded.engaged, engagements = excluded.engagements,
        seen_1h = excluded.seen_1h, seen_3h = excluded.seen_3h, seen_6h = excluded.seen_6h, seen_12h = excluded.seen_12h
    """
)


async def settle(session: AsyncSession, since: datetime, until: datetime, anew: bool = False) -> int:
    """Write down how posts that came out from `since` to before `until` stood after a day: those that are not there
    yet, or `anew` all of them. Answers how many were written."""
    given = {"since": since, "until": until, "anew": anew}
    found: Any = await session.execute(_SETTLE, given)
    return int(found.rowcount)


_WEEKS = text(
    """
    SELECT bot_id::text AS bot, persona_id::text AS persona, (extract(isodow FROM local_at) - 1)::integer AS weekday,
        extract(hour FROM local_at)::integer AS hour, count(*) AS posts, sum(ln(1 + engaged)) AS y,
        sum(ln(1 + engaged) ^ 2) AS yy
    FROM (
        SELECT bot_id, persona_id, engaged, published_at AT TIME ZONE time_zone AS local_at
        FROM post_results JOIN bots ON bots.id = bot_id WHERE published_at >= :since AND state <> 'retired'
    ) AS local
    GROUP BY 1, 2, 3, 4
    """
)


async def by_hour_of_week(session: AsyncSession, since: datetime) -> Sequence[Mapping[str, Any]]:
    """Sums over the posts since an instant by bot, its persona, and weekday (0 is Monday) and hour in its own zone: how
    many, and of log(1 + what people did) the sum and the sum of squares."""
    rows = await session.execute(_WEEKS, {"since": since})
    return [{**values(row), "y": float(row.y), "yy": float(row.yy)} for row in rows]


# A post counts in the sums of its curve where all of the curve is known.
_DAYS = text(
    """
    SELECT bot_id::text AS bot, (published_at AT TIME ZONE 'UTC')::date AS day, source,
        coalesce(template, '-') AS template, count(*) AS posts,
        sum(impressions)::bigint AS impressions, sum(engaged)::bigint AS engaged,
        coalesce(sum(engagements), 0)::bigint AS engagements,
        coalesce(sum(impressions) FILTER (WHERE engagements IS NOT NULL), 0)::bigint AS own_impressions,
        sum(ln(1 + impressions))::double precision AS log_views,
        coalesce(sum(seen_1h) FILTER (WHERE whole), 0)::bigint AS seen_1h,
        coalesce(sum(seen_3h) FILTER (WHERE whole), 0)::bigint AS seen_3h,
        coalesce(sum(seen_6h) FILTER (WHERE whole), 0)::bigint AS seen_6h,
        coalesce(sum(seen_12h) FILTER (WHERE whole), 0)::bigint AS seen_12h,
        coalesce(sum(impressions) FILTER (WHERE whole), 0)::bigint AS seen_24h
    FROM (
        SELECT *, num_nulls(seen_1h, seen_3h, seen_6h, seen_12h) = 0 AS whole FROM post_results
        WHERE published_at >= :since AND published_at < :until
    ) AS result
    JOIN bots ON bots.id = bot_id
    WHERE state <> 'retired' AND bears_one(bots, CAST(:labels AS text[]))
    GROUP BY 1, 2, 3, 4
    """
)


async def by_day(
    session: AsyncSession, since: datetime, until: datetime, labels: Sequence[str] | None
) -> Sequence[Mapping[str, Any]]:
    """Sums over the posts that came out from `since` to before `until` by bot, UTC day, source and template ("-" is
    none), of the bots that bear one of the labels."""
    given = {"since": since, "until": until, "labels": None if labels is None else list(labels)}
    return [values(row) for row in await session.execute(_DAYS, given)]


_ERASE = text("DELETE FROM post_results WHERE post_id = ANY(:post_ids)")


async def erase(session: AsyncSession, post_ids: Sequence[UUID]) -> None:
    """Delete how these posts stood."""
    await session.execute(_ERASE, {"post_ids": list(post_ids)})


Order = Literal["engaged", "impressions", "likes", "reposts", "replies", "quotes", "bookmarks", "rate"]
# A post that few have seen has a rate by chance.
SEEN_LEAST = 100


@dataclass(frozen=True)
class TopPost:
    """A post as it stood when it was read last, at `measured_at`; `rate` is missing where hardly anybody saw it."""

    post_id: UUID
    bot: str
    text: str
    source: str
    template: str | None
    x_post_id: str
    published_at: datetime
    measured_at: datetime
    impressions: int
    likes: int
    reposts: int
    replies: int
    quotes: int
    bookmarks: int
    engaged: int
    engagements: int | None
    rate: float | None


_TOP = """
    SELECT post.id AS post_id, handle AS bot, post.text, source, template, x_post_id, published_at,
        last.bucket_at AS measured_at, coalesce(impressions, 0) AS impressions, coalesce(likes, 0) AS likes,
        coalesce(reposts, 0) AS reposts, coalesce(replies, 0) AS replies, coalesce(quotes, 0) AS quotes,
        coalesce(bookmarks, 0) AS bookmarks, engaged, engagements,
        CASE WHEN impressions >= :seen_least THEN engaged / impressions::double precision END AS rate
    FROM posts AS post
    JOIN bots ON bots.id = post.bot_id AND bears_one(bots, CAST(:labels AS text[]))
    CROSS JOIN LATERAL (
        SELECT *, coalesce(likes, 0) + coalesce(reposts, 0) + coalesce(replies, 0) + coalesce(quotes, 0)
            + coalesce(bookmarks, 0) AS engaged
        FROM post_metrics_daily AS one
        WHERE one.post_id = post.id AND day >= (post.published_at AT TIME ZONE 'UTC')::date
        ORDER BY day DESC LIMIT 1
    ) AS last
    WHERE post.status = 'published' AND published_at >= :since AND published_at < :until
    ORDER BY $order DESC NULLS LAST, engaged DESC, post.id LIMIT :limit
"""
_TOPS: Mapping[Order, TextClause] = {order: text(_TOP.replace("$order", order)) for order in get_args(Order)}


async def top(
    session: AsyncSession, by: Order, since: datetime, until: datetime, labels: Sequence[str] | None, limit: int
) -> Sequence[TopPost]:
    """Posts that came out from `since` to before `until`, of bots that bear one of the labels, the best first."""
    given = {
        "since": since,
        "until": until,
        "labels": None if labels is None else list(labels),
        "limit": limit,
        "seen_least": SEEN_LEAST,
    }
    return [TopPost(**values(row)) for row in await session.execute(_TOPS[by], given)]
