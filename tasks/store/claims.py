"""Claims: posts that one sender holds under a lease; to give one back is always safe, because nothing was sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import app_now, values
from tasks.store.posts import posts


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


# Candidates that are looked at under the lock for each post to be taken.
SPARE = 10

# The instant is a sub-select: app_now() is volatile, and a volatile function in the condition would rule out the index.
# What is late is not taken before its misfire policy gave it a turn, nor a part of which the one before is unwanted.
# Where more is due than is taken, bots take turns: the first post of each goes before the second of any. The outer
# conditions are looked at again under the lock, of so many that those which other senders hold at that moment can be
# done without.
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
            AND (coalesce(post.thread_place, 1) = 1
                OR (before.status = 'published' AND before.cancel_wanted_at IS NULL))
            AND (post.media_count = 0 OR media_ready(post))
            AND (NOT (SELECT EXISTS (SELECT 1 FROM stops WHERE lifted_at IS NULL)
                OR EXISTS (SELECT 1 FROM breakers WHERE closed_at IS NULL)) OR NOT silenced(bot))
    ), first AS (
        SELECT * FROM due ORDER BY turn, next_at, id LIMIT :among
    ), chosen AS (
        SELECT post.id, due.handle, due.time_zone, due.before_x_post_id
        FROM first AS due JOIN posts AS post ON post.id = due.id
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


async def take(
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
    given = {
        "sender": sender,
        "ahead": ahead,
        "lease": lease,
        "late": late,
        "grace": grace,
        "limit": limit,
        "among": SPARE * limit,
    }
    found = [ClaimedPost(**values(row)) for row in await session.execute(_CLAIM_DUE, given)]
    return sorted(found, key=lambda post: (post.next_at, post.id))


async def renew(session: AsyncSession, sender: UUID, lease: timedelta) -> None:
    """Hold on to every post that a sender has claimed; one that somebody holds still at this moment waits for the next
    beat, and holds no other up."""
    held = (
        select(posts.c.id)
        .where(posts.c.lease_sender == sender, posts.c.status == "claimed")
        .order_by(posts.c.id)
        .with_for_update(skip_locked=True)
        .cte("held")
    )
    await session.execute(update(posts).where(posts.c.id == held.c.id).values(lease_until=app_now + lease))


async def give_back(
    session: AsyncSession, sender: UUID, post_ids: Sequence[UUID], reason: str | None, wait: timedelta
) -> None:
    """Return claims that were not marked; always safe, because nothing was sent."""
    held = _held(sender, post_ids)
    await session.execute(
        update(posts)
        .where(posts.c.id == held.c.id)
        .values(
            status="scheduled",
            reason=reason,
            lease_until=None,
            next_at=func.greatest(posts.c.next_at, app_now + wait),
            updated_at=app_now,
        )
    )


async def give_back_all(session: AsyncSession, sender: UUID) -> None:
    """Return whatever a sender that ends has claimed and not marked: the next look of another takes it."""
    held = (
        select(posts.c.id)
        .where(posts.c.lease_sender == sender, posts.c.status == "claimed")
        .order_by(posts.c.id)
        .with_for_update()
        .cte("held")
    )
    await session.execute(
        update(posts).where(posts.c.id == held.c.id).values(status="scheduled", lease_until=None, updated_at=app_now)
    )


async def let_wait(session: AsyncSession, sender: UUID, post_ids: Sequence[UUID], reason: str) -> None:
    """End claims of which a person decides."""
    held = _held(sender, post_ids)
    await session.execute(
        update(posts)
        .where(posts.c.id == held.c.id)
        .values(status="awaiting_approval", reason=reason, lease_until=None, updated_at=app_now)
    )


async def refuse(session: AsyncSession, sender: UUID, post_ids: Sequence[UUID], reason: str) -> None:
    """End claims that the gate refuses."""
    held = _held(sender, post_ids)
    await session.execute(
        update(posts)
        .where(posts.c.id == held.c.id)
        .values(status="refused", reason=reason, lease_until=None, updated_at=app_now)
    )


def _held(sender: UUID, post_ids: Sequence[UUID]) -> CTE:
    """Claims of a sender, locked in the order of their ids: everybody who holds several posts takes them so."""
    wanted = posts.c.id.in_(post_ids), posts.c.lease_sender == sender, posts.c.status == "claimed"
    return select(posts.c.id).where(*wanted).order_by(posts.c.id).with_for_update().cte("held")
