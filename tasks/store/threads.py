"""Threads: the parts that can no longer follow, and giving them a place again."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import values


@dataclass(frozen=True)
class PartRow:
    """One part of a thread; `in_doubt` while nobody knows whether X has it."""

    id: UUID
    bot: str
    place: int
    status: str
    in_doubt: bool


_BREAK = text(
    """
    UPDATE posts AS part SET status = 'held', updated_at = app_now(),
        reason = format('thread: part %s is %s, so part %s does not follow it', before.thread_place, before.status,
            part.thread_place)
    FROM posts AS before
    WHERE part.thread_id IS NOT NULL AND part.status = 'scheduled'
        AND before.thread_id = part.thread_id AND before.thread_place = part.thread_place - 1
        AND before.status IN ('refused', 'expired', 'cancelled', 'deleted', 'rejected')
    RETURNING part.id
    """
)


async def hold_broken(session: AsyncSession) -> Sequence[UUID]:
    """Hold the parts whose part before will never be out; answers their ids."""
    return [row.id for row in await session.execute(_BREAK)]


_PARTS = text(
    """
    SELECT part.id, bot.handle AS bot, part.thread_place AS place, part.status,
        EXISTS (SELECT 1 FROM publish_attempts AS attempt WHERE attempt.post_id = part.id
            AND (attempt.ended IS NULL OR attempt.ended = 'unknown')) AS in_doubt
    FROM posts AS one
    JOIN posts AS part ON part.thread_id = one.thread_id
    JOIN bots AS bot ON bot.id = part.bot_id
    WHERE one.id = :post_id
    ORDER BY part.thread_place
    FOR UPDATE OF part
    """
)


async def lock_parts(session: AsyncSession, post_id: UUID) -> Sequence[PartRow]:
    """All parts of the thread that a post belongs to, held until the transaction ends; none where it is in none."""
    return [PartRow(**values(row)) for row in await session.execute(_PARTS, {"post_id": post_id})]


async def leave(session: AsyncSession, post_ids: Sequence[UUID]) -> None:
    """Take parts out of their thread."""
    await session.execute(
        text("UPDATE posts SET thread_id = NULL, thread_place = NULL, updated_at = app_now() WHERE id = ANY (:ids)"),
        {"ids": list(post_ids)},
    )


# Places are unique, also while they move: each goes down, and the lowest first.
_FOLLOW = text(
    """
    UPDATE posts SET thread_place = :place, status = 'scheduled', reason = NULL,
        planned_at = greatest(planned_at, app_now()), next_at = greatest(planned_at, app_now()), updated_at = app_now()
    WHERE id = :id
    """
)


async def follow(session: AsyncSession, post_id: UUID, place: int) -> None:
    """Give a part its place, and schedule it at its instant or now."""
    await session.execute(_FOLLOW, {"id": post_id, "place": place})
