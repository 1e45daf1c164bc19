"""Feeds of bots, and their entries by guid: each becomes a post once."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.feeds import FeedEntry
from tasks.store.base import Id, Instant, Json, app_now, metadata, new_id, values
from tasks.store.bots import bots, in_scope

feeds = Table(
    "feeds",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("bot_id", Id, ForeignKey("bots.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("cap_per_day", Integer, nullable=False),
    Column("utm", Json),
    Column("read_at", Instant),
    Column("good_at", Instant, comment="when it was last read as a feed"),
    Column("problem", Text, comment="why the last reading brought nothing"),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
)
feed_entries = Table(
    "feed_entries",
    metadata,
    Column("feed_id", Id, ForeignKey("feeds.id", ondelete="CASCADE"), primary_key=True),
    Column("guid", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("link", Text),
    Column("summary", Text, nullable=False),
    Column("published_at", Instant),
    Column("state", Text, nullable=False, comment="old: it was there when the feed was first read, and is not posted"),
    Column("reason", Text),
    Column("seen_at", Instant, nullable=False, server_default=app_now),
)


@dataclass(frozen=True)
class FeedRow:
    """A feed as it stands; `waiting` entries have become no post yet."""

    id: UUID
    bot_id: UUID
    bot: str
    name: str
    url: str
    template: str
    cap_per_day: int
    utm: dict[str, Any] | None
    read_at: datetime | None
    good_at: datetime | None
    problem: str | None
    created_by: str
    created_at: datetime
    waiting: int


_WAITING = (
    select(func.count())
    .where(feed_entries.c.feed_id == feeds.c.id, feed_entries.c.state == "new")
    .scalar_subquery()
    .label("waiting")
)
_SELECTED = select(*feeds.c, bots.c.handle.label("bot"), _WAITING).join_from(feeds, bots)


async def add(session: AsyncSession, row: dict[str, Any]) -> UUID | None:
    """Insert one; None where its bot has this feed, or one of this name."""
    statement = insert(feeds).values(row).on_conflict_do_nothing().returning(feeds.c.id)
    return (await session.execute(statement)).scalar_one_or_none()


async def of_bots(session: AsyncSession, within: Collection[str] | None) -> Sequence[FeedRow]:
    """Feeds of bots within labels, by bot and name."""
    wanted = _SELECTED.where(in_scope(within)).order_by(func.lower(bots.c.handle), feeds.c.name)
    return [FeedRow(**values(row)) for row in await session.execute(wanted)]


async def remove(session: AsyncSession, feed_id: UUID, within: Collection[str] | None) -> FeedRow | None:
    """Delete one of a bot within labels with its entries, and answer it; None where there is none."""
    row = (await session.execute(_SELECTED.where(feeds.c.id == feed_id, in_scope(within)))).one_or_none()
    if row is None:
        return None
    await session.execute(delete(feeds).where(feeds.c.id == feed_id))
    return FeedRow(**values(row))


async def failed(session: AsyncSession, feed_id: UUID, problem: str) -> None:
    """A reading that brought nothing; when it was last good stays."""
    await session.execute(update(feeds).where(feeds.c.id == feed_id).values(read_at=app_now, problem=problem))


async def seen(session: AsyncSession, feed_id: UUID, entries: Sequence[FeedEntry], first: bool) -> None:
    """Remember entries; what is known stays as it was. All that stands at the first reading is old."""
    await session.execute(
        update(feeds).where(feeds.c.id == feed_id).values(read_at=app_now, good_at=app_now, problem=None)
    )
    if entries:
        rows = [{"feed_id": feed_id, "state": "old" if first else "new", **asdict(entry)} for entry in entries]
        statement = insert(feed_entries).on_conflict_do_update(
            index_elements=[feed_entries.c.feed_id, feed_entries.c.guid], set_={"seen_at": app_now}
        )
        await session.execute(statement, rows)


async def forget(session: AsyncSession, feed_id: UUID, days: int) -> None:
    """Entries that the feed has not held for so many days; it will not bring them again."""
    await session.execute(
        delete(feed_entries).where(
            feed_entries.c.feed_id == feed_id,
            feed_entries.c.seen_at < app_now - text(f"interval '{int(days)} days'"),
        )
    )


async def waiting(session: AsyncSession, feed_id: UUID, limit: int) -> Sequence[FeedEntry]:
    """Entries that have become no post yet, the oldest first."""
    columns = [feed_entries.c[name] for name in ("guid", "title", "link", "summary", "published_at")]
    found = await session.execute(
        select(*columns)
        .where(feed_entries.c.feed_id == feed_id, feed_entries.c.state == "new")
        .order_by(feed_entries.c.published_at.asc().nulls_last(), feed_entries.c.guid)
        .limit(limit)
    )
    return [FeedEntry(**values(row)) for row in found]


async def settle(session: AsyncSession, feed_id: UUID, guid: str, state: str, reason: str | None) -> None:
    """What became of an entry: planned, or refused with its reason."""
    await session.execute(
        update(feed_entries)
        .where(feed_entries.c.feed_id == feed_id, feed_entries.c.guid == guid)
        .values(state=state, reason=reason)
    )
