"""Posts: what is to be said, by whom, when, and what became of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Integer,
    Interval,
    SmallInteger,
    Table,
    Text,
    cast,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.budget import kind_of_post
from tasks.domain.posts import CANCELLABLE, Draft
from tasks.domain.threads import plans
from tasks.store.base import Id, Instant, Json, app_now, metadata, new_id, values
from tasks.store.bots import bots, in_scope

# Runs listen on this channel, so that a post made seconds before it is due need not wait for a poll.
DUE_CHANNEL = "posts_due"

posts = Table(
    "posts",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("bot_id", Id, ForeignKey("bots.id"), nullable=False),
    Column("text", Text, nullable=False),
    Column("reply_to_x_post_id", Text),
    Column("quote_x_post_id", Text),
    Column("reply_settings", Text),
    Column("made_with_ai", Boolean, nullable=False, server_default="false"),
    Column("paid_partnership", Boolean, nullable=False, server_default="false"),
    Column("due_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column(
        "planned_at",
        Instant,
        nullable=False,
        comment="the instant it is meant to leave: due_at, moved within spread_seconds",
    ),
    Column("spread_seconds", Integer, nullable=False, server_default="0"),
    Column("misfire", Text, nullable=False, server_default="send_if_within"),
    Column("misfire_within", Interval),
    Column("poll", Json),
    Column("media_count", SmallInteger, nullable=False, server_default="0"),
    Column("thread_id", Id),
    Column("thread_place", SmallInteger),
    Column("price_kind", Text, nullable=False, server_default="post"),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("source", Text, nullable=False),
    Column(
        "provenance",
        Json,
        nullable=False,
        server_default="{}",
        comment="file and line it was read from, as its writer named them",
    ),
    Column("external_id", Text),
    Column("template", Text, comment="the writer's own name for the text it was made from"),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column(
        "next_at",
        Instant,
        nullable=False,
        comment="earliest instant of the next attempt: due_at, or later after a retryable failure",
    ),
    Column("turn_at", Instant, comment="the turn that the catch-up gave it when it was late"),
    Column("lease_sender", Id, ForeignKey("senders.id")),
    Column("lease_epoch", Integer, nullable=False, server_default="0"),
    Column("lease_until", Instant),
    Column("x_post_id", Text, unique=True),
    Column("published_at", Instant),
    Column("cancel_wanted_at", Instant),
    Column("cancel_wanted_by", Text),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("updated_at", Instant, nullable=False, server_default=app_now),
)


@dataclass(frozen=True)
class PostRow:
    """A post as an operator sees it."""

    id: UUID
    bot: str
    text: str
    due_at: datetime
    planned_at: datetime
    expires_at: datetime | None
    spread_seconds: int
    misfire: str
    misfire_within_seconds: int | None
    status: str
    thread_id: UUID | None
    thread_place: int | None
    poll: dict[str, Any] | None
    media_count: int
    reason: str | None
    attempts: int
    revision: int
    source: str
    external_id: str | None
    x_post_id: str | None
    published_at: datetime | None
    created_by: str
    created_at: datetime


_COLUMNS = (
    posts.c.id,
    bots.c.handle.label("bot"),
    posts.c.text,
    posts.c.due_at,
    posts.c.planned_at,
    posts.c.expires_at,
    posts.c.spread_seconds,
    posts.c.misfire,
    cast(func.extract("epoch", posts.c.misfire_within), Integer).label("misfire_within_seconds"),
    posts.c.status,
    posts.c.thread_id,
    posts.c.thread_place,
    posts.c.poll,
    posts.c.media_count,
    posts.c.reason,
    posts.c.attempts,
    posts.c.revision,
    posts.c.source,
    posts.c.external_id,
    posts.c.x_post_id,
    posts.c.published_at,
    posts.c.created_by,
    posts.c.created_at,
)
_SELECTED = select(*_COLUMNS).join_from(posts, bots)


async def new_ids(session: AsyncSession, count: int) -> Sequence[UUID]:
    """Ids for rows that are about to be inserted, in order of age."""
    found = await session.execute(text("SELECT uuid_v7() AS id FROM generate_series(1, :count)"), {"count": count})
    return [row.id for row in found]


async def add(
    session: AsyncSession,
    drafts: Mapping[UUID, tuple[Draft, UUID]],
    source: str,
    created_by: str,
    threads: Sequence[Sequence[UUID]] = (),
    status: Literal["scheduled", "draft"] = "scheduled",
    waiting: Collection[UUID] = (),
) -> set[UUID]:
    """Insert drafts by id, each with its bot's id; answers the ids that went in, the others stood already.

    `threads` are the ids of drafts that are parts of threads, in their order; `waiting` wait for an approval.
    """
    if not drafts:
        return set()
    plan = plans({post_id: draft for post_id, (draft, _) in drafts.items()}, threads)
    rows = [
        {
            "id": post_id,
            "bot_id": bot_id,
            "status": "awaiting_approval" if post_id in waiting else status,
            "next_at": plan[post_id].planned_at,
            "price_kind": kind_of_post(draft.text),
            "source": source,
            "created_by": created_by,
            "misfire_within": draft.misfire_within,
            "provenance": draft.origin.model_dump(exclude_none=True) if draft.origin else {},
            "media_count": len(draft.media),
            **asdict(plan[post_id]),
            **draft.model_dump(exclude={"bot", "misfire_within_seconds", "thread", "media", "origin"}),
        }
        for post_id, (draft, bot_id) in drafts.items()
    ]
    statement = insert(posts).on_conflict_do_nothing().returning(posts.c.id)
    found = {row.id for row in await session.execute(statement, rows)}
    await wake_runs(session)
    return found


async def wake_runs(session: AsyncSession) -> None:
    """Tell every run, once this is committed, that what is due has changed."""
    await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": DUE_CHANNEL})


async def by_external_ids(session: AsyncSession, wanted: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], PostRow]:
    """Posts by (bot id, external id)."""
    if not wanted:
        return {}
    found = await session.execute(
        _SELECTED.add_columns(posts.c.bot_id).where(tuple_(posts.c.bot_id, posts.c.external_id).in_(wanted))
    )
    return {
        (row.bot_id, row.external_id): PostRow(**{k: v for k, v in values(row).items() if k != "bot_id"})
        for row in found
    }


async def get(session: AsyncSession, post_id: UUID, within: Collection[str] | None = None) -> PostRow | None:
    """One post of the bots within labels, or None."""
    row = (await session.execute(_SELECTED.where(posts.c.id == post_id, in_scope(within)))).one_or_none()
    return PostRow(**values(row)) if row else None


@dataclass(frozen=True)
class LockedPost:
    """A post that nobody else can change until the transaction ends."""

    bot_id: UUID
    status: str
    revision: int


async def lock(session: AsyncSession, post_id: UUID) -> LockedPost | None:
    """Hold one post."""
    found = await session.execute(
        select(posts.c.bot_id, posts.c.status, posts.c.revision).where(posts.c.id == post_id).with_for_update()
    )
    row = found.one_or_none()
    return LockedPost(**values(row)) if row else None


async def page(
    session: AsyncSession,
    *,
    within: Collection[str] | None = None,
    bot: str | None = None,
    status: str | None = None,
    label: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[PostRow]:
    """Posts from the latest due instant downwards; `before` is (due_at, id) of the last one seen."""
    wanted = _SELECTED.where(in_scope(within)).order_by(posts.c.due_at.desc(), posts.c.id.desc()).limit(limit)
    if bot:
        wanted = wanted.where(func.lower(bots.c.handle) == bot.lower())
    if status:
        wanted = wanted.where(posts.c.status == status)
    if label:
        wanted = wanted.where(bots.c.labels.any(label))
    if since:
        wanted = wanted.where(posts.c.due_at >= since)
    if until:
        wanted = wanted.where(posts.c.due_at < until)
    if before:
        wanted = wanted.where(tuple_(posts.c.due_at, posts.c.id) < before)
    return [PostRow(**values(row)) for row in await session.execute(wanted)]


async def counts(session: AsyncSession, within: Collection[str] | None = None) -> dict[str, int]:
    """Number of posts by status."""
    counted = select(posts.c.status, func.count()).group_by(posts.c.status)
    if within is not None:
        counted = counted.join_from(posts, bots).where(in_scope(within))
    found = await session.execute(counted)
    return {row[0]: row[1] for row in found}


async def waiting(session: AsyncSession, bot_id: UUID) -> int:
    """How many posts of a bot wait for their instant, or for its login."""
    found = await session.execute(
        select(func.count()).where(posts.c.bot_id == bot_id, posts.c.status.in_(("scheduled", "claimed")))
    )
    return found.scalar_one()


async def cancel(session: AsyncSession, post_id: UUID, reason: str) -> bool:
    """Cancel one that is not on its way yet; False where it was too late."""
    found = await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status.in_(CANCELLABLE))
        .values(status="cancelled", reason=reason, lease_until=None, revision=posts.c.revision + 1, updated_at=app_now)
        .returning(posts.c.id)
    )
    return found.one_or_none() is not None


async def let_wait(session: AsyncSession, post_id: UUID, waits: bool) -> None:
    """Let one that is not on its way yet wait for an approval, or no longer."""
    await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status.in_(("awaiting_approval", "scheduled")))
        .values(status="awaiting_approval" if waits else "scheduled")
    )


async def end(session: AsyncSession, post_id: UUID, revision: int, status: str, reason: str) -> bool:
    """Take one that waits for its instant out of the queue; False where it is no longer what was judged."""
    found = await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.revision == revision, posts.c.status == "scheduled")
        .values(status=status, reason=reason, updated_at=app_now)
        .returning(posts.c.id)
    )
    return found.one_or_none() is not None


async def explain(session: AsyncSession, post_id: UUID, reason: str) -> None:
    """Say what is known by now of one whose answer was lost."""
    await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status == "unknown")
        .values(reason=reason, updated_at=app_now)
    )


async def hold(session: AsyncSession, post_id: UUID, reason: str) -> None:
    """Leave one whose answer was lost to a person."""
    await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status == "unknown")
        .values(status="held", reason=reason, updated_at=app_now)
    )


async def send_now(session: AsyncSession, post_id: UUID) -> None:
    """Plan a scheduled one anew, for now: a person wants it sent, however late it is."""
    await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status == "scheduled")
        .values(
            planned_at=func.greatest(posts.c.planned_at, app_now),
            next_at=app_now,
            turn_at=None,
            cancel_wanted_at=None,
            cancel_wanted_by=None,
            updated_at=app_now,
        )
    )
    await wake_runs(session)
