"""Deletions: posts that a person wants gone from X, or not to get there where nobody knows whether they did."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import app_now, values
from tasks.store.posts import posts


async def want(session: AsyncSession, post_id: UUID, by: str) -> bool:
    """Remember that one on X is not wanted there any more; False where it is not out."""
    return await _want(session, post_id, "published", by, next_at=app_now)


async def want_cancelled(session: AsyncSession, post_id: UUID, by: str) -> bool:
    """Remember that one whose answer was lost is not wanted any more; False where it is not in doubt."""
    return await _want(session, post_id, "unknown", by)


async def _want(session: AsyncSession, post_id: UUID, status: str, by: str, **also: Any) -> bool:
    found = await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status == status)
        .values(
            cancel_wanted_at=func.coalesce(posts.c.cancel_wanted_at, app_now),
            cancel_wanted_by=func.coalesce(posts.c.cancel_wanted_by, by),
            updated_at=app_now,
            **also,
        )
        .returning(posts.c.id)
    )
    return found.one_or_none() is not None


_RECALL = text(
    """
    UPDATE posts AS part SET status = 'scheduled', lease_until = NULL, lease_epoch = part.lease_epoch + 1,
        reason = 'waits: the part before it is to be deleted', updated_at = app_now()
    FROM posts AS before
    WHERE before.id = :post_id AND part.thread_id = before.thread_id AND part.thread_place = before.thread_place + 1
        AND part.status = 'claimed'
    """
)


async def recall_next(session: AsyncSession, post_id: UUID) -> None:
    """Take the part after this one from the sender that has claimed it: a claim of the epoch before is not marked.

    Hold this one before, as the mark does: in the order of the ids, which is that of the places.
    """
    await session.execute(_RECALL, {"post_id": post_id})


async def discard(session: AsyncSession, post_id: UUID, by: str, reason: str) -> None:
    """Cancel a held one; where X turns out to have it, it is deleted there."""
    await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status.in_(("held", "cancelled")))
        .values(status="cancelled", reason=reason, cancel_wanted_at=app_now, cancel_wanted_by=by, updated_at=app_now)
    )


@dataclass(frozen=True)
class UnwantedPost:
    """A post that X has and that a person wants gone."""

    id: UUID
    bot_id: UUID
    x_app_id: UUID | None
    handle: str
    x_post_id: str
    wanted_by: str


_TAKE = text(
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


async def take(session: AsyncSession, lease: timedelta, limit: int) -> Sequence[UnwantedPost]:
    """Posts on X that are to be deleted there; for the length of the lease nobody else takes them."""
    rows = await session.execute(_TAKE, {"lease": lease, "limit": limit})
    return [UnwantedPost(**values(row)) for row in rows]


async def done(session: AsyncSession, post_id: UUID, reason: str) -> None:
    """Note that X has one no longer."""
    await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status == "published")
        .values(status="deleted", reason=reason, updated_at=app_now)
    )


_ERASE_TEXTS = text(
    """
    WITH gone AS (
        UPDATE posts SET text = :instead, provenance = '{}', poll = NULL, updated_at = app_now()
        WHERE id = ANY(:ids) AND status = 'deleted' RETURNING id
    ), revisions AS (
        UPDATE post_revisions SET text = :instead FROM gone WHERE post_id = gone.id
    ), compared AS (
        DELETE FROM text_fingerprints USING gone WHERE post_id = gone.id
    ), judged AS (
        UPDATE verdicts SET findings = '[]' FROM gone WHERE post_id = gone.id AND findings <> '[]'
    )
    SELECT count(*) FROM gone
    """
)
ERASED = "(erased: this post was deleted on X)"


async def erase_texts(session: AsyncSession, post_ids: Sequence[UUID]) -> int:
    """Replace what posts that are deleted said, in all their revisions, by a sentence, and drop what the gate kept of
    it; answers how many."""
    found = await session.execute(_ERASE_TEXTS, {"ids": list(post_ids), "instead": ERASED})
    return int(found.scalar_one())
