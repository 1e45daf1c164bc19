"""Turns: when late posts go out after all, each bot's one after the other, and the end of those that are too late."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.misfire import CaughtUp, LatePost
from tasks.domain.personas import ActiveWindow
from tasks.store.advisory_locks import AdvisoryLock
from tasks.store.base import values

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
    # Two planners at a time would give the same turn of a bot away.
    alone = select(func.pg_try_advisory_xact_lock(AdvisoryLock.CATCH_UP))
    if not (await session.execute(alone)).scalar_one():
        return []
    found = await session.execute(_LATE, {"late": late, "grace": grace, "limit": limit})
    return [
        LatePost(**{**values(row), "windows": tuple(ActiveWindow.model_validate(one) for one in row.windows)})
        for row in found
    ]


_TAKEN = text(
    """
    SELECT bot_id, turn_at AS turn FROM posts
    WHERE bot_id = ANY (:bot_ids) AND turn_at IS NOT NULL AND status IN ('scheduled', 'claimed', 'sending')
    UNION ALL
    SELECT wanted.bot_id, (SELECT max(marked_at) FROM publish_attempts WHERE bot_id = wanted.bot_id)
    FROM unnest(CAST(:bot_ids AS uuid[])) AS wanted (bot_id)
    """
)


async def taken(session: AsyncSession, bot_ids: Sequence[UUID]) -> dict[UUID, list[datetime]]:
    """By bot, when it last spoke, and the turns that its late posts were given and have not had yet."""
    found: dict[UUID, list[datetime]] = {}
    for row in await session.execute(_TAKEN, {"bot_ids": list(bot_ids)}):
        if row.turn is not None:
            found.setdefault(row.bot_id, []).append(row.turn)
    return found


_GIVE = text(
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


async def give(session: AsyncSession, turns: Sequence[CaughtUp]) -> None:
    """Move late posts to their turns, or end them; what moves to another window is planned anew."""
    given = {
        "ids": [turn.post_id for turn in turns],
        "turns": [turn.at for turn in turns],
        "reasons": [turn.reason for turn in turns],
    }
    await session.execute(_GIVE, given)


_EXPIRE = text(
    """
    WITH held AS (
        SELECT id FROM posts
        WHERE (status = 'scheduled' OR (status = 'claimed' AND lease_until < (SELECT app_now())))
            AND next_at <= (SELECT app_now()) AND misfires_at(posts, :late, :grace) <= (SELECT app_now())
        ORDER BY id FOR UPDATE SKIP LOCKED
    )
    UPDATE posts SET status = 'expired', lease_until = NULL, updated_at = app_now(),
        reason = coalesce(reason || '; ', '') || CASE
            WHEN expires_at <= (SELECT app_now()) THEN 'past its expiry'
            ELSE 'too late to be sent' END
    FROM held WHERE posts.id = held.id
    RETURNING posts.id
    """
)


async def expire(session: AsyncSession, late: timedelta, grace: timedelta) -> Sequence[UUID]:
    """End every post whose time has passed and that nobody holds still; answers their ids."""
    return [row.id for row in await session.execute(_EXPIRE, {"late": late, "grace": grace})]
