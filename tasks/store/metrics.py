"""Snapshots: counts of posts and accounts as X gave them, by subject and scheduled instant, in monthly partitions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from operator import attrgetter
from string import Template
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from sqlalchemy import BigInteger, Column, Table, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, metadata, values

# What anybody may see of a post, what its author alone sees, and that without paid promotion.
PUBLIC = ("impressions", "likes", "reposts", "replies", "quotes", "bookmarks")
PRIVATE = ("engagements", "url_clicks", "profile_clicks")
ORGANIC = (
    "organic_impressions",
    "organic_likes",
    "organic_reposts",
    "organic_replies",
    "organic_url_clicks",
    "organic_profile_clicks",
)
ACCOUNT = ("followers", "following", "listed", "posts")

post_metrics = Table(
    "post_metrics",
    metadata,
    Column("post_id", Id, primary_key=True),
    Column("bot_id", Id, nullable=False),
    Column("bucket_at", Instant, primary_key=True),
    Column("observed_at", Instant, nullable=False),
    *(Column(name, BigInteger) for name in (*PUBLIC, *PRIVATE, *ORGANIC)),
)

account_metrics = Table(
    "account_metrics",
    metadata,
    Column("bot_id", Id, primary_key=True),
    Column("bucket_at", Instant, primary_key=True),
    Column("observed_at", Instant, nullable=False),
    *(Column(name, BigInteger) for name in ACCOUNT),
)


@dataclass(frozen=True, slots=True)
class PostSnapshot:
    """Counts of a post that were scheduled for `bucket_at` and given at `observed_at`."""

    post_id: UUID
    bot_id: UUID
    bucket_at: datetime
    observed_at: datetime
    impressions: int | None = None
    likes: int | None = None
    reposts: int | None = None
    replies: int | None = None
    quotes: int | None = None
    bookmarks: int | None = None
    engagements: int | None = None
    url_clicks: int | None = None
    profile_clicks: int | None = None
    organic_impressions: int | None = None
    organic_likes: int | None = None
    organic_reposts: int | None = None
    organic_replies: int | None = None
    organic_url_clicks: int | None = None
    organic_profile_clicks: int | None = None


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """Counts of a bot's account."""

    bot_id: UUID
    bucket_at: datetime
    observed_at: datetime
    followers: int | None = None
    following: int | None = None
    listed: int | None = None
    posts: int | None = None


@dataclass(frozen=True)
class _Kind:
    """How rows of one kind are staged and merged."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    types: tuple[str, ...]

    @property
    def stage(self) -> str:
        """Staged rows are of one transaction; their table lives as long as the connection."""
        return f"CREATE TEMPORARY TABLE IF NOT EXISTS new_{self.table} (LIKE {self.table}) ON COMMIT DELETE ROWS"

    @property
    def copy(self) -> str:
        """Into the staging table."""
        return f"COPY pg_temp.new_{self.table} ({', '.join(self.columns)}) FROM STDIN (FORMAT BINARY)"

    @property
    def merge(self) -> str:
        """One row for each subject and instant: the answer that was given last, whatever the order of arrival.

        Two answers of the same instant are told apart by their counts, so that no order is left to chance.
        """
        values = [name for name in self.columns if name not in self.key]
        return _MERGE.substitute(
            table=self.table,
            key=", ".join(self.key),
            columns=", ".join(self.columns),
            newest=", ".join(f"{name} DESC" for name in values),
            changed=", ".join(f"{name} = excluded.{name}" for name in values),
            given="ROW(" + ", ".join(f"excluded.{name}" for name in values) + ")::record",
            kept="ROW(" + ", ".join(f"{self.table}.{name}" for name in values) + ")::record",
        )


# Columns stand in the order of `observed_at` and then the counts: as records they compare without a null in between.
_MERGE = Template(
    """
    WITH written AS (
        INSERT INTO $table ($columns)
        SELECT DISTINCT ON ($key) $columns FROM pg_temp.new_$table ORDER BY $key, $newest
        ON CONFLICT ($key) DO UPDATE SET $changed WHERE $given > $kept
        RETURNING bot_id, bucket_at
    ), noted AS (
        INSERT INTO metric_changes (bot_id, hour_at)
        SELECT DISTINCT bot_id, date_trunc('hour', bucket_at, 'UTC') FROM written ORDER BY 1, 2
    )
    SELECT count(*) FROM written
    """
)


def _kind(table: str, key: tuple[str, ...], snapshot: type[Any]) -> _Kind:
    columns = tuple(field.name for field in fields(snapshot))
    types = {"post_id": "uuid", "bot_id": "uuid", "bucket_at": "timestamptz", "observed_at": "timestamptz"}
    return _Kind(table, key, columns, tuple(types.get(name, "int8") for name in columns))


_POSTS = _kind("post_metrics", ("post_id", "bucket_at"), PostSnapshot)
_ACCOUNTS = _kind("account_metrics", ("bot_id", "bucket_at"), AccountSnapshot)


async def add_posts(session: AsyncSession, snapshots: Sequence[PostSnapshot]) -> int:
    """Write snapshots of posts; those that are there already, or older than what is there, change nothing.

    Answers how many changed something; their hours are noted for the rollups.
    """
    return await _add(session, _POSTS, snapshots)


async def add_accounts(session: AsyncSession, snapshots: Sequence[AccountSnapshot]) -> int:
    """Write snapshots of accounts, as `add_posts`."""
    return await _add(session, _ACCOUNTS, snapshots)


async def _add(session: AsyncSession, kind: _Kind, snapshots: Sequence[Any]) -> int:
    if not snapshots:
        return 0
    connection: AsyncConnection[Any] = (await (await session.connection()).get_raw_connection()).driver_connection  # type: ignore[assignment]
    async with connection.cursor() as cursor:
        await cursor.execute(kind.stage.encode())
        # Not dataclasses.astuple, which copies every value: half the time of a run.
        await _copy(cursor, kind, map(attrgetter(*kind.columns), snapshots))
        await cursor.execute(kind.merge.encode())
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def _copy(cursor: Any, kind: _Kind, rows: Iterable[tuple[Any, ...]]) -> None:
    async with cursor.copy(kind.copy.encode()) as copy:
        copy.set_types(kind.types)
        for row in rows:
            await copy.write_row(row)


async def make_months(session: AsyncSession, first: date, last: date) -> int:
    """Make the partitions of these months that are not there yet; answers how many that were."""
    found = await session.execute(text("SELECT make_metric_months(:first, :last)"), {"first": first, "last": last})
    return int(found.scalar_one())


async def drop_months(session: AsyncSession, table: str, before: date) -> Sequence[str]:
    """Drop the partitions of a table whose month ended before this one begins; answers their names."""
    found = await session.execute(
        text("SELECT drop_metric_months(:table, :before)"), {"table": table, "before": before}
    )
    return list(found.scalar_one())


_ERASE = text(
    """
    WITH gone AS (
        DELETE FROM post_metrics WHERE post_id = ANY(:post_ids) RETURNING bot_id, bucket_at
    ), gone_daily AS (
        DELETE FROM post_metrics_daily WHERE post_id = ANY(:post_ids)
    ), noted AS (
        INSERT INTO metric_changes (bot_id, hour_at)
        SELECT DISTINCT bot_id, date_trunc('hour', bucket_at, 'UTC') FROM gone
    )
    SELECT count(*) FROM gone
    """
)


async def erase(session: AsyncSession, post_ids: Sequence[UUID]) -> int:
    """Delete all that X said of these posts; what their bots gained by them goes with the next rollup."""
    return int((await session.execute(_ERASE, {"post_ids": list(post_ids)})).scalar_one())


_COURSE = text(
    """
    SELECT bucket_at, impressions, likes, reposts, replies, quotes, bookmarks, engagements, url_clicks, profile_clicks
    FROM post_metrics WHERE post_id = :post_id AND bucket_at >= :since ORDER BY bucket_at
    """
)


async def course(session: AsyncSession, post_id: UUID, since: datetime) -> Sequence[Mapping[str, Any]]:
    """Snapshots of a post from an instant on, the oldest first; none once they are kept no longer."""
    return [values(row) for row in await session.execute(_COURSE, {"post_id": post_id, "since": since})]
