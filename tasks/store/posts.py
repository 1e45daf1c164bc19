"""Posts: what is to be said, by whom, when, and what became of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
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
    case,
    cast,
    func,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.budget import kind_of_post
from tasks.domain.misfire import CaughtUp, LatePost
from tasks.domain.personas import ActiveWindow
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


post_revisions = Table(
    "post_revisions",
    metadata,
    Column("post_id", Id, ForeignKey("posts.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("replaced_by", Text, nullable=False),
    Column("replaced_at", Instant, nullable=False, server_default=app_now),
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


@dataclass(frozen=True)
class ClaimedPost:
    """A post that one sender holds under a lease, with all it takes to send it; a part of a thread replies to the part
    before."""

    id: UUID
    bot_id: UUID
    handle: str
    text: str
    reply_to_x_post_id: str | None
    quote_x_post_id: str | None
    reply_settings: str | None
    made_with_ai: bool
    paid_partnership: bool
    poll: dict[str, Any] | None
    asset_ids: Sequence[UUID]
    x_media_ids: Sequence[str]
    due_at: datetime
    planned_at: datetime
    next_at: datetime
    revision: int
    attempts: int
    lease_epoch: int
    time_zone: str


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
) -> set[UUID]:
    """Insert drafts by id, each with its bot's id; answers the ids that went in, the others stood already.

    `threads` are the ids of drafts that are parts of threads, in their order.
    """
    if not drafts:
        return set()
    plan = plans({post_id: draft for post_id, (draft, _) in drafts.items()}, threads)
    rows = [
        {
            "id": post_id,
            "bot_id": bot_id,
            "status": "scheduled",
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
    await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": DUE_CHANNEL})
    return found


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


async def cancel(session: AsyncSession, post_id: UUID, reason: str) -> bool:
    """Cancel one that is not on its way yet; False where it was too late."""
    found = await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status.in_(CANCELLABLE))
        .values(status="cancelled", reason=reason, lease_until=None, revision=posts.c.revision + 1, updated_at=app_now)
        .returning(posts.c.id)
    )
    return found.one_or_none() is not None


async def draft_of(session: AsyncSession, post_id: UUID) -> Draft:
    """A post as what was written: what the gate judges when it is changed."""
    row = (
        await session.execute(
            select(posts, bots.c.handle.label("bot")).join_from(posts, bots).where(posts.c.id == post_id)
        )
    ).one()
    shown = await session.execute(
        text("SELECT asset_id FROM post_media WHERE post_id = :post_id ORDER BY place"), {"post_id": post_id}
    )
    found = {name: value for name, value in values(row).items() if name in Draft.model_fields}
    within = row.misfire_within
    return Draft(
        **found,
        media=tuple(one.asset_id for one in shown),
        misfire_within_seconds=None if within is None else int(within.total_seconds()),
    )


async def change(session: AsyncSession, post_id: UUID, by: str, **changed: Any) -> None:
    """Change what a post says or when; its revision goes up, what it said before is kept, and a claim ends."""
    before = select(posts.c.id, posts.c.revision, posts.c.text, posts.c.due_at, literal(by)).where(
        posts.c.id == post_id
    )
    await session.execute(
        insert(post_revisions).from_select(["post_id", "revision", "text", "due_at", "replaced_by"], before)
    )
    await session.execute(
        update(posts)
        .where(posts.c.id == post_id)
        .values(
            **changed,
            **({"price_kind": kind_of_post(changed["text"])} if "text" in changed else {}),
            status=case((posts.c.status == "claimed", "scheduled"), else_=posts.c.status),
            lease_until=None,
            turn_at=None,
            revision=posts.c.revision + 1,
            updated_at=app_now,
        )
    )
    await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": DUE_CHANNEL})


async def revisions(session: AsyncSession, post_id: UUID) -> Sequence[Mapping[str, Any]]:
    """What a post said before it was changed, oldest first."""
    wanted = select(*post_revisions.c).where(post_revisions.c.post_id == post_id).order_by(post_revisions.c.revision)
    return [dict(row._mapping) for row in await session.execute(wanted)]


# The instant is a sub-select: app_now() is volatile, and a volatile function in the condition would rule out the index.
# What is late is not taken before its misfire policy gave it a turn. Where more is due than is taken, bots take turns:
# the first post of each goes before the second of any. The outer conditions are looked at again under the lock.
_CLAIM_DUE = text(
    """
    WITH due AS (
        SELECT post.id, bot.handle, bot.time_zone, before.x_post_id AS before_x_post_id, post.next_at,
            row_number() OVER (PARTITION BY post.bot_id ORDER BY post.next_at, post.id) AS turn
        FROM posts AS post
        JOIN bots AS bot ON bot.id = post.bot_id
        LEFT JOIN senders AS holder ON holder.id = post.lease_sender
        LEFT JOIN posts AS before
            ON before.thread_id = post.thread_id AND before.thread_place = post.thread_place - 1
        WHERE post.status IN ('scheduled', 'claimed')
            AND post.next_at <= (SELECT app_now() + :ahead)
            AND (post.next_at > (SELECT app_now() - :late) OR post.thread_place > 1)
            AND (post.status = 'scheduled' OR post.lease_until < (SELECT app_now()) OR holder.died_at IS NOT NULL)
            AND misfires_at(post, :late, :grace) > (SELECT app_now())
            AND bot.state = 'active'
            AND (coalesce(post.thread_place, 1) = 1 OR before.status = 'published')
            AND media_ready(post)
            AND (NOT (SELECT EXISTS (SELECT 1 FROM stops WHERE lifted_at IS NULL)
                OR EXISTS (SELECT 1 FROM breakers WHERE closed_at IS NULL)) OR NOT silenced(bot))
    ), chosen AS (
        SELECT post.id, due.handle, due.time_zone, due.before_x_post_id
        FROM due JOIN posts AS post ON post.id = due.id
        LEFT JOIN senders AS holder ON holder.id = post.lease_sender
        WHERE post.status = 'scheduled'
            OR (post.status = 'claimed' AND (post.lease_until < (SELECT app_now()) OR holder.died_at IS NOT NULL))
        ORDER BY due.turn, due.next_at, due.id
        LIMIT :limit
        FOR UPDATE OF post SKIP LOCKED
    )
    UPDATE posts
    SET status = 'claimed', lease_sender = :sender, lease_epoch = lease_epoch + 1,
        lease_until = app_now() + :lease, updated_at = app_now()
    FROM chosen WHERE posts.id = chosen.id
    RETURNING posts.id, posts.bot_id, chosen.handle, posts.text,
        coalesce(chosen.before_x_post_id, posts.reply_to_x_post_id) AS reply_to_x_post_id, posts.quote_x_post_id,
        posts.reply_settings, posts.made_with_ai, posts.paid_partnership, posts.poll, posts.due_at, posts.planned_at,
        CASE WHEN posts.media_count > 0 THEN ARRAY(
            SELECT asset_id FROM post_media WHERE post_id = posts.id ORDER BY place) ELSE '{}' END AS asset_ids,
        CASE WHEN posts.media_count > 0 THEN ARRAY(
            SELECT DISTINCT ON (place) x_media_id FROM media_uploads
            WHERE post_id = posts.id AND ended = 'ready' AND attempt_id IS NULL ORDER BY place, id DESC
        ) ELSE '{}' END AS x_media_ids,
        posts.next_at, posts.revision, posts.attempts, posts.lease_epoch, chosen.time_zone
    """
)


async def claim_due(
    session: AsyncSession,
    sender: UUID,
    *,
    ahead: timedelta,
    lease: timedelta,
    late: timedelta,
    grace: timedelta,
    limit: int,
) -> Sequence[ClaimedPost]:
    """Take up to `limit` posts due within `ahead` and not late; rows that another sender holds are skipped."""
    given = {"sender": sender, "ahead": ahead, "lease": lease, "late": late, "grace": grace, "limit": limit}
    found = [ClaimedPost(**values(row)) for row in await session.execute(_CLAIM_DUE, given)]
    return sorted(found, key=lambda post: (post.next_at, post.id))


# One planner at a time, or two would give the same turn of a bot away.
_CATCH_UP_KEY = 7_310_003

_LATE = text(
    """
    SELECT post.id, post.bot_id, post.planned_at, post.misfire, coalesce(post.misfire_within, :grace) AS within,
        post.expires_at, bot.time_zone, coalesce(persona.definition -> 'windows', '[]') AS windows
    FROM posts AS post
    JOIN bots AS bot ON bot.id = post.bot_id
    JOIN personas AS persona ON persona.id = bot.persona_id
    LEFT JOIN senders AS holder ON holder.id = post.lease_sender
    WHERE post.status IN ('scheduled', 'claimed') AND post.next_at <= (SELECT app_now() - :late)
        AND (post.status = 'scheduled' OR post.lease_until < (SELECT app_now()) OR holder.died_at IS NOT NULL)
        AND coalesce(post.thread_place, 1) = 1 AND bot.state = 'active' AND NOT silenced(bot)
    ORDER BY post.planned_at, post.id
    LIMIT :limit
    FOR UPDATE OF post SKIP LOCKED
    """
)


async def late_ones(session: AsyncSession, *, late: timedelta, grace: timedelta, limit: int) -> Sequence[LatePost]:
    """Posts that nobody could send in time, the oldest plan first; none while somebody else gives out turns."""
    alone = select(func.pg_try_advisory_xact_lock(_CATCH_UP_KEY))
    if not (await session.execute(alone)).scalar_one():
        return []
    found = await session.execute(_LATE, {"late": late, "grace": grace, "limit": limit})
    return [
        LatePost(**{**values(row), "windows": tuple(ActiveWindow.model_validate(one) for one in row.windows)})
        for row in found
    ]


_TURNS_TAKEN = text(
    """
    SELECT bot_id, turn_at AS turn FROM posts
    WHERE bot_id = ANY (:bot_ids) AND turn_at IS NOT NULL AND status IN ('scheduled', 'claimed', 'sending')
    UNION ALL
    SELECT wanted.bot_id, (SELECT max(marked_at) FROM publish_attempts WHERE bot_id = wanted.bot_id)
    FROM unnest(CAST(:bot_ids AS uuid[])) AS wanted (bot_id)
    """
)


async def turns_taken(session: AsyncSession, bot_ids: Sequence[UUID]) -> dict[UUID, list[datetime]]:
    """By bot, when it last spoke, and the turns that its late posts were given and have not had yet."""
    taken: dict[UUID, list[datetime]] = {}
    for row in await session.execute(_TURNS_TAKEN, {"bot_ids": list(bot_ids)}):
        if row.turn is not None:
            taken.setdefault(row.bot_id, []).append(row.turn)
    return taken


_GIVE_TURNS = text(
    """
    UPDATE posts
    SET status = CASE WHEN item.at IS NULL THEN 'expired' ELSE 'scheduled' END, reason = item.reason,
        lease_until = NULL, next_at = coalesce(item.at, posts.next_at), turn_at = item.at,
        planned_at = CASE WHEN posts.misfire = 'next_window' THEN coalesce(item.at, posts.planned_at)
            ELSE posts.planned_at END,
        updated_at = app_now()
    FROM unnest(CAST(:ids AS uuid[]), CAST(:turns AS timestamptz[]), CAST(:reasons AS text[])) AS item (id, at, reason)
    WHERE posts.id = item.id
    """
)


async def give_turns(session: AsyncSession, turns: Sequence[CaughtUp]) -> None:
    """Move late posts to their turns, or end them; what moves to another window is planned anew."""
    given = {
        "ids": [turn.post_id for turn in turns],
        "turns": [turn.at for turn in turns],
        "reasons": [turn.reason for turn in turns],
    }
    await session.execute(_GIVE_TURNS, given)


async def renew_leases(session: AsyncSession, sender: UUID, lease: timedelta) -> None:
    """Hold on to every post that a sender has claimed."""
    await session.execute(
        update(posts)
        .where(posts.c.lease_sender == sender, posts.c.status == "claimed")
        .values(lease_until=app_now + lease)
    )


async def give_back(
    session: AsyncSession, sender: UUID, post_ids: Sequence[UUID], reason: str | None, wait: timedelta
) -> None:
    """Return claims that were not marked; always safe, because nothing was sent."""
    await session.execute(
        update(posts)
        .where(posts.c.id.in_(post_ids), posts.c.lease_sender == sender, posts.c.status == "claimed")
        .values(
            status="scheduled",
            reason=reason,
            lease_until=None,
            next_at=func.greatest(posts.c.next_at, app_now + wait),
            updated_at=app_now,
        )
    )


async def refuse_claimed(session: AsyncSession, sender: UUID, post_ids: Sequence[UUID], reason: str) -> None:
    """End claims that the gate refuses."""
    await session.execute(
        update(posts)
        .where(posts.c.id.in_(post_ids), posts.c.lease_sender == sender, posts.c.status == "claimed")
        .values(status="refused", reason=reason, lease_until=None, updated_at=app_now)
    )


_EXPIRE = text(
    """
    UPDATE posts SET status = 'expired', lease_until = NULL, updated_at = app_now(),
        reason = coalesce(reason || '; ', '') || CASE
            WHEN expires_at <= (SELECT app_now()) THEN 'past its expiry'
            ELSE 'too late to be sent' END
    WHERE (status = 'scheduled' OR (status = 'claimed' AND lease_until < (SELECT app_now())))
        AND next_at <= (SELECT app_now()) AND misfires_at(posts, :late, :grace) <= (SELECT app_now())
    RETURNING id
    """
)


async def expire(session: AsyncSession, late: timedelta, grace: timedelta) -> Sequence[UUID]:
    """End every post whose time has passed; answers their ids."""
    return [row.id for row in await session.execute(_EXPIRE, {"late": late, "grace": grace})]


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


async def want_cancelled(session: AsyncSession, post_id: UUID, by: str) -> bool:
    """Remember that one whose answer was lost is not wanted any more; False where it is not in doubt."""
    found = await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status == "unknown")
        .values(
            cancel_wanted_at=func.coalesce(posts.c.cancel_wanted_at, app_now),
            cancel_wanted_by=func.coalesce(posts.c.cancel_wanted_by, by),
            updated_at=app_now,
        )
        .returning(posts.c.id)
    )
    return found.one_or_none() is not None


async def want_deleted(session: AsyncSession, post_id: UUID, by: str) -> bool:
    """Remember that one on X is not wanted there any more; False where it is not out."""
    found = await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status == "published")
        .values(
            cancel_wanted_at=func.coalesce(posts.c.cancel_wanted_at, app_now),
            cancel_wanted_by=func.coalesce(posts.c.cancel_wanted_by, by),
            next_at=app_now,
            updated_at=app_now,
        )
        .returning(posts.c.id)
    )
    return found.one_or_none() is not None


@dataclass(frozen=True)
class UnwantedPost:
    """A post that X has and that a person wants gone."""

    id: UUID
    bot_id: UUID
    x_app_id: UUID | None
    handle: str
    x_post_id: str
    wanted_by: str


_TAKE_UNWANTED = text(
    """
    WITH due AS (
        SELECT id FROM posts WHERE status = 'published' AND cancel_wanted_at IS NOT NULL
            AND next_at <= (SELECT app_now()) ORDER BY cancel_wanted_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE posts SET next_at = app_now() + :lease FROM due, bots
    WHERE posts.id = due.id AND bots.id = posts.bot_id
    RETURNING posts.id, posts.bot_id, bots.x_app_id, bots.handle, posts.x_post_id, posts.cancel_wanted_by AS wanted_by
    """
)


async def take_unwanted(session: AsyncSession, lease: timedelta, limit: int) -> Sequence[UnwantedPost]:
    """Posts on X that are to be deleted there; for the length of the lease nobody else takes them."""
    rows = await session.execute(_TAKE_UNWANTED, {"lease": lease, "limit": limit})
    return [UnwantedPost(**values(row)) for row in rows]


async def deleted(session: AsyncSession, post_id: UUID, reason: str) -> None:
    """Note that X has one no longer."""
    await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status == "published")
        .values(status="deleted", reason=reason, updated_at=app_now)
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
    await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": DUE_CHANNEL})


async def discard(session: AsyncSession, post_id: UUID, by: str, reason: str) -> None:
    """Cancel a held one; where X turns out to have it, it is deleted there."""
    await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status.in_(("held", "cancelled")))
        .values(status="cancelled", reason=reason, cancel_wanted_at=app_now, cancel_wanted_by=by, updated_at=app_now)
    )


_ERASE_TEXTS = text(
    """
    WITH gone AS (
        UPDATE posts SET text = :instead, provenance = '{}', poll = NULL, updated_at = app_now()
        WHERE id = ANY(:ids) AND status = 'deleted' RETURNING id
    ), revisions AS (
        UPDATE post_revisions SET text = :instead FROM gone WHERE post_id = gone.id
    )
    SELECT count(*) FROM gone
    """
)
ERASED = "(erased: this post was deleted on X)"


async def erase_texts(session: AsyncSession, post_ids: Sequence[UUID]) -> int:
    """Replace what posts that are deleted said, in all their revisions, by a sentence; answers how many."""
    found = await session.execute(_ERASE_TEXTS, {"ids": list(post_ids), "instead": ERASED})
    return int(found.scalar_one())
