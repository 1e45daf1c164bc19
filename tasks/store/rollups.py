"""Rollups: what the posts of a bot gained in each hour and on each day, made from snapshots, and made again at will."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from string import Template
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import BigInteger, Column, Date, Identity, Integer, Table, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.advisory_locks import AdvisoryLock
from tasks.store.base import Id, Instant, metadata, values
from tasks.store.metrics import PRIVATE, PUBLIC

MEASURES = (*PUBLIC, *PRIVATE)
Span = Literal["hour", "day"]

post_metrics_daily = Table(
    "post_metrics_daily",
    metadata,
    Column("post_id", Id, primary_key=True),
    Column("bot_id", Id, nullable=False),
    Column("day", Date, primary_key=True),
    Column("bucket_at", Instant, nullable=False),
    *(Column(name, BigInteger) for name in MEASURES),
)

bot_metrics_hourly = Table(
    "bot_metrics_hourly",
    metadata,
    Column("bot_id", Id, primary_key=True),
    Column("hour_at", Instant, primary_key=True),
    Column("snapshots", Integer, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in MEASURES),
    Column("followers", BigInteger),
)

bot_metrics_daily = Table(
    "bot_metrics_daily",
    metadata,
    Column("bot_id", Id, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("snapshots", Integer, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in MEASURES),
    Column("followers", BigInteger),
)

metric_changes = Table(
    "metric_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("bot_id", Id, nullable=False),
    Column("hour_at", Instant, nullable=False),
)


@dataclass(frozen=True)
class Hours:
    """Hours of bots, side by side: the first hour is the first bot's."""

    bot_ids: Sequence[UUID]
    hours: Sequence[datetime]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.bot_ids)

    @property
    def given(self) -> dict[str, Any]:
        """As the statements take them."""
        return {"bot_ids": list(self.bot_ids), "hours": list(self.hours)}


async def lock(session: AsyncSession) -> None:
    """Wait until nobody else rolls up, and keep others from it until the transaction ends."""
    # Two who roll up at once would write one hour from two views of the snapshots.
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": AdvisoryLock.ROLL_UP})


_TAKE = text(
    """
    WITH taken AS (
        DELETE FROM metric_changes WHERE id IN (SELECT id FROM metric_changes ORDER BY id LIMIT :limit)
        RETURNING bot_id, hour_at
    )
    SELECT DISTINCT bot_id, hour_at FROM taken ORDER BY bot_id, hour_at
    """
)


async def take_changes(session: AsyncSession, limit: int) -> Hours:
    """Hours of which something was written since they were rolled up; their notes go with the transaction."""
    rows = (await session.execute(_TAKE, {"limit": limit})).all()
    return Hours([row.bot_id for row in rows], [row.hour_at for row in rows])


def _listed(form: str, names: Sequence[str] = MEASURES) -> str:
    return ", ".join(form.replace("*", name) for name in names)


# What the statements below have in common.
_PARTS = {
    "wanted": """
        WITH wanted AS (
            SELECT * FROM unnest(CAST(:bot_ids AS uuid[]), CAST(:hours AS timestamptz[])) AS one (bot_id, hour_at)
        )""",
    "wanted_days": """
        WITH wanted AS (
            SELECT DISTINCT bot_id, (hour_at AT TIME ZONE 'UTC')::date AS day
            FROM unnest(CAST(:bot_ids AS uuid[]), CAST(:hours AS timestamptz[])) AS one (bot_id, hour_at)
        )""",
    "in_the_hour": """post.bot_id = wanted.bot_id AND post.bucket_at >= hour_at
                AND post.bucket_at < hour_at + interval '1 hour'""",
    "on_the_day": """post.bucket_at >= day::timestamp AT TIME ZONE 'UTC'
            AND post.bucket_at < (day + 1)::timestamp AT TIME ZONE 'UTC'""",
    "measures": _listed("*"),
    "measures_or_0": _listed("coalesce(*, 0)"),
    "measures_summed": _listed("sum(*)::bigint"),
    "measures_excluded": _listed("* = excluded.*"),
    "last_public": _listed("last.*", PUBLIC),
    "own_private": _listed("own.*", PRIVATE),
    "public_gained": _listed("coalesce(sum(post.* - coalesce(had.*, kept.*, 0)), 0)::bigint AS *", PUBLIC),
    "private_gained": _listed("coalesce(sum(post.* - coalesce(own.*, kept_own.*, 0)), 0)::bigint AS *", PRIVATE),
}


def _sql(statement: str) -> TextClause:
    return text(Template(statement).substitute(_PARTS))


# A gain is counted from the snapshot before: whoever changes one changes the gain of the next one, too. Private counts
# may be missing from snapshots in between.
_TOUCHED = _sql(
    """
    $wanted, sampled AS (
        SELECT DISTINCT post.post_id, post.bot_id, hour_at FROM wanted JOIN post_metrics AS post ON $in_the_hour
    )
    SELECT bot_id, hour_at FROM wanted
    UNION
    SELECT bot_id, date_trunc('hour', later.bucket_at, 'UTC') FROM sampled
    CROSS JOIN LATERAL (
        (SELECT bucket_at FROM post_metrics AS post
            WHERE post.post_id = sampled.post_id AND bucket_at >= hour_at + interval '1 hour'
            ORDER BY bucket_at LIMIT 1)
        UNION ALL
        (SELECT bucket_at FROM post_metrics AS post
            WHERE post.post_id = sampled.post_id AND bucket_at >= hour_at + interval '1 hour'
                AND profile_clicks IS NOT NULL
            ORDER BY bucket_at LIMIT 1)
    ) AS later
    ORDER BY bot_id, hour_at
    """
)


async def touched(session: AsyncSession, hours: Hours) -> Hours:
    """These hours, and those whose gains are counted from a snapshot in them."""
    rows = (await session.execute(_TOUCHED, hours.given)).all()
    return Hours([row.bot_id for row in rows], [row.hour_at for row in rows])


_CLEAR_HOURS = _sql(
    """
    $wanted
    DELETE FROM bot_metrics_hourly AS old USING wanted
    WHERE old.bot_id = wanted.bot_id AND old.hour_at = wanted.hour_at
    """
)

# Since the snapshot before; since nothing where there was none. What is left of a post whose snapshots of earlier
# months were dropped is its last one of each day. A count that X did not give gains nothing.
_WRITE_HOURS = _sql(
    """
    INSERT INTO bot_metrics_hourly (bot_id, hour_at, snapshots, $measures, followers)
    $wanted, gained AS (
        SELECT post.bot_id, hour_at, count(*)::integer AS snapshots, $public_gained, $private_gained
        FROM wanted JOIN post_metrics AS post ON $in_the_hour
        LEFT JOIN LATERAL (
            SELECT * FROM post_metrics AS earlier
            WHERE earlier.post_id = post.post_id AND earlier.bucket_at < post.bucket_at
            ORDER BY bucket_at DESC LIMIT 1
        ) AS had ON true
        LEFT JOIN LATERAL (
            SELECT * FROM post_metrics AS earlier
            WHERE post.profile_clicks IS NOT NULL AND earlier.profile_clicks IS NOT NULL
                AND earlier.post_id = post.post_id AND earlier.bucket_at < post.bucket_at
            ORDER BY bucket_at DESC LIMIT 1
        ) AS own ON true
        LEFT JOIN LATERAL (
            SELECT * FROM post_metrics_daily AS earlier
            WHERE had.post_id IS NULL AND earlier.post_id = post.post_id
                AND earlier.day < (post.bucket_at AT TIME ZONE 'UTC')::date
            ORDER BY day DESC LIMIT 1
        ) AS kept ON true
        LEFT JOIN LATERAL (
            SELECT * FROM post_metrics_daily AS earlier
            WHERE own.post_id IS NULL AND post.profile_clicks IS NOT NULL AND earlier.profile_clicks IS NOT NULL
                AND earlier.post_id = post.post_id AND earlier.day < (post.bucket_at AT TIME ZONE 'UTC')::date
            ORDER BY day DESC LIMIT 1
        ) AS kept_own ON true
        GROUP BY post.bot_id, hour_at
    )
    SELECT wanted.bot_id, wanted.hour_at, coalesce(snapshots, 0), $measures_or_0, account.followers
    FROM wanted LEFT JOIN gained USING (bot_id, hour_at)
    LEFT JOIN LATERAL (
        SELECT followers FROM account_metrics AS account
        WHERE account.bot_id = wanted.bot_id AND bucket_at >= wanted.hour_at
            AND bucket_at < wanted.hour_at + interval '1 hour' AND followers IS NOT NULL
        ORDER BY bucket_at DESC LIMIT 1
    ) AS account ON true
    WHERE snapshots IS NOT NULL OR account.followers IS NOT NULL
    """
)

# The last snapshot of a post on a day, and the last private counts of that day, which its last snapshot may lack.
_WRITE_POST_DAYS = _sql(
    """
    INSERT INTO post_metrics_daily (post_id, bot_id, day, bucket_at, $measures)
    $wanted, sampled AS (
        SELECT DISTINCT post.post_id, post.bot_id, (hour_at AT TIME ZONE 'UTC')::date AS day
        FROM wanted JOIN post_metrics AS post ON $in_the_hour
    )
    SELECT sampled.post_id, sampled.bot_id, day, last.bucket_at, $last_public, $own_private
    FROM sampled
    CROSS JOIN LATERAL (
        SELECT * FROM post_metrics AS post WHERE post.post_id = sampled.post_id AND $on_the_day
        ORDER BY bucket_at DESC LIMIT 1
    ) AS last
    LEFT JOIN LATERAL (
        SELECT * FROM post_metrics AS post WHERE post.post_id = sampled.post_id AND $on_the_day
            AND profile_clicks IS NOT NULL
        ORDER BY bucket_at DESC LIMIT 1
    ) AS own ON true
    ON CONFLICT (post_id, day) DO UPDATE SET bucket_at = excluded.bucket_at, $measures_excluded
    """
)

_CLEAR_DAYS = _sql(
    """
    $wanted_days
    DELETE FROM bot_metrics_daily AS old USING wanted WHERE old.bot_id = wanted.bot_id AND old.day = wanted.day
    """
)

_WRITE_DAYS = _sql(
    """
    INSERT INTO bot_metrics_daily (bot_id, day, snapshots, $measures, followers)
    $wanted_days
    SELECT hour.bot_id, day, sum(snapshots)::integer, $measures_summed,
        (array_agg(followers ORDER BY hour_at DESC) FILTER (WHERE followers IS NOT NULL))[1]
    FROM wanted JOIN bot_metrics_hourly AS hour
        ON hour.bot_id = wanted.bot_id AND hour_at >= day::timestamp AT TIME ZONE 'UTC'
            AND hour_at < (day + 1)::timestamp AT TIME ZONE 'UTC'
    GROUP BY hour.bot_id, day
    """
)


async def write(session: AsyncSession, hours: Hours) -> None:
    """Make these hours, and the days that they are in, anew from the snapshots: bots by hour and day, posts by day."""
    for statement in (_CLEAR_HOURS, _WRITE_HOURS, _WRITE_POST_DAYS, _CLEAR_DAYS, _WRITE_DAYS):
        await session.execute(statement, hours.given)


_MARK = text(
    """
    WITH hours AS (
        SELECT bot_id, date_trunc('hour', bucket_at, 'UTC') AS hour_at FROM post_metrics
        WHERE bucket_at >= :since AND bucket_at < :until
        UNION
        SELECT bot_id, date_trunc('hour', bucket_at, 'UTC') FROM account_metrics
        WHERE bucket_at >= :since AND bucket_at < :until
        UNION
        SELECT bot_id, hour_at FROM bot_metrics_hourly WHERE hour_at >= :since AND hour_at < :until
    ), noted AS (
        INSERT INTO metric_changes (bot_id, hour_at) SELECT bot_id, hour_at FROM hours ORDER BY bot_id, hour_at
        RETURNING 1
    )
    SELECT count(*) FROM noted
    """
)


async def mark(session: AsyncSession, since: datetime, until: datetime) -> int:
    """Have every hour of a span rolled up anew; answers how many hours of bots that are."""
    return int((await session.execute(_MARK, {"since": since, "until": until})).scalar_one())


@dataclass(frozen=True)
class Gained:
    """What the posts of a bot gained in the hour or on the day that begins at `at`; `followers` at its end, where they
    were read."""

    at: datetime
    snapshots: int
    impressions: int
    likes: int
    reposts: int
    replies: int
    quotes: int
    bookmarks: int
    engagements: int
    url_clicks: int
    profile_clicks: int
    followers: int | None


_SPANS: Mapping[Span, TextClause] = {
    "hour": _sql(
        """
        SELECT hour_at AS at, snapshots, $measures, followers FROM bot_metrics_hourly
        WHERE bot_id = :bot_id AND hour_at >= :since AND hour_at < :until ORDER BY hour_at
        """
    ),
    "day": _sql(
        """
        SELECT day::timestamp AT TIME ZONE 'UTC' AS at, snapshots, $measures, followers FROM bot_metrics_daily
        WHERE bot_id = :bot_id AND day >= (CAST(:since AS timestamptz) AT TIME ZONE 'UTC')::date
            AND day <= (CAST(:until AS timestamptz) AT TIME ZONE 'UTC')::date ORDER BY day
        """
    ),
}


async def of_bot(session: AsyncSession, bot_id: UUID, by: Span, since: datetime, until: datetime) -> Sequence[Gained]:
    """What a bot gained, oldest first: hours that begin from `since` to before `until`, or the days (UTC) from that of
    `since` to that of `until`."""
    given = {"bot_id": bot_id, "since": since, "until": until}
    return [Gained(**values(row)) for row in await session.execute(_SPANS[by], given)]


_FLEET_DAYS = _sql(
    """
    SELECT bot_id::text AS bot, day, $measures, followers FROM bot_metrics_daily AS gained
    JOIN bots ON bots.id = bot_id
    WHERE day >= :first AND day <= :last AND state <> 'retired' AND bears_one(bots, CAST(:labels AS text[]))
    """
)


async def of_fleet(
    session: AsyncSession, first: date, last: date, labels: Sequence[str] | None
) -> Sequence[Mapping[str, Any]]:
    """What each bot that bears one of the labels gained on each day (UTC) of a span, its last one included."""
    given = {"first": first, "last": last, "labels": None if labels is None else list(labels)}
    return [values(row) for row in await session.execute(_FLEET_DAYS, given)]
