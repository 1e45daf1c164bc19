"""Looks at timelines for attempts whose answer was lost."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Table, Text, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.reconciliation import Look, Verdict
from tasks.store.base import Id, Instant, metadata, new_id, values

reconcile_looks = Table(
    "reconcile_looks",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("attempt_id", Id, ForeignKey("publish_attempts.id"), nullable=False),
    Column("looked_at", Instant, nullable=False),
    Column("seen", Text, nullable=False),
    Column("x_post_ids", ARRAY(Text), nullable=False, server_default="{}"),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
)


@dataclass(frozen=True)
class InDoubt:
    """An attempt without a known outcome, its post, and where to look; `replied_to` is what it was sent as a reply to.

    `first_marked_at` is of the first attempt of this post that was ever in doubt: what X has may stem from any of them.
    """

    attempt_id: UUID
    post_id: UUID
    bot_id: UUID
    x_app_id: UUID | None
    handle: str
    x_user_id: str | None
    text: str
    replied_to: str | None
    follows_ours: bool
    in_thread: bool
    quoted: str | None
    problem: str | None
    attempts: int
    first_marked_at: datetime
    token_expires_at: datetime | None
    over_at: datetime | None
    media_keys: Sequence[str]
    cancel_wanted: bool


# An attempt is over once its sender is proven dead, or has itself written down that the request ended unanswered.
_ROWS = """
    SELECT attempt.id AS attempt_id, post.id AS post_id, bot.id AS bot_id, bot.x_app_id, bot.handle, bot.x_user_id,
        post.text,
        coalesce(before.x_post_id, post.reply_to_x_post_id) AS replied_to, before.x_post_id IS NOT NULL AS follows_ours,
        post.thread_id IS NOT NULL AS in_thread, post.quote_x_post_id AS quoted, attempt.problem, post.attempts,
        attempt.token_expires_at,
        least(sender.died_at, CASE WHEN attempt.settled_by = 'answer' THEN attempt.ended_at END) AS over_at,
        ARRAY(SELECT media_key FROM media_uploads AS upload
            WHERE upload.attempt_id = attempt.id AND media_key IS NOT NULL) AS media_keys,
        post.cancel_wanted_at IS NOT NULL AS cancel_wanted,
        (SELECT min(marked_at) FROM publish_attempts AS any_attempt
            WHERE any_attempt.post_id = post.id AND any_attempt.ended IN ('unknown', 'not_arrived')) AS first_marked_at
    FROM publish_attempts AS attempt
    JOIN posts AS post ON post.id = attempt.post_id
    JOIN bots AS bot ON bot.id = post.bot_id
    JOIN senders AS sender ON sender.id = attempt.sender_id
    LEFT JOIN posts AS before ON before.thread_id = post.thread_id AND before.thread_place = post.thread_place - 1
"""

_TAKEN = """
    WITH due AS (
        SELECT attempt.id FROM publish_attempts AS attempt JOIN posts AS post ON post.id = attempt.post_id
        WHERE attempt.ended = 'unknown' AND post.status = 'unknown'
            AND (attempt.look_at IS NULL OR attempt.look_at <= (SELECT app_now()))
        ORDER BY attempt.look_at NULLS FIRST, attempt.id LIMIT :limit FOR UPDATE OF attempt SKIP LOCKED
    ), taken AS (
        UPDATE publish_attempts SET look_at = app_now() + :lease FROM due WHERE publish_attempts.id = due.id
        RETURNING publish_attempts.id
    )
"""
_TAKE = text(_TAKEN + _ROWS + " JOIN taken ON taken.id = attempt.id")


async def take(session: AsyncSession, lease: timedelta, limit: int) -> Sequence[InDoubt]:
    """Attempts whose timeline is to be looked at now; for the length of the lease nobody else takes them."""
    return [InDoubt(**values(row)) for row in await session.execute(_TAKE, {"lease": lease, "limit": limit})]


_HOLD = text("SELECT hold_attempts(CAST(:ids AS uuid[]))")


async def lock(session: AsyncSession, attempt_ids: Sequence[UUID]) -> None:
    """Hold attempts and their posts still, in the order in which outcomes are written."""
    await session.execute(_HOLD, {"ids": list(attempt_ids)})


_STILL = text(_ROWS + " WHERE attempt.id = ANY(:ids) AND attempt.ended = 'unknown' AND post.status = ANY(:statuses)")


async def still_in_doubt(
    session: AsyncSession, attempt_ids: Sequence[UUID], statuses: Sequence[str] = ("unknown",)
) -> Sequence[InDoubt]:
    """Those of the attempts that nothing is known of yet, as they stand now."""
    found = await session.execute(_STILL, {"ids": list(attempt_ids), "statuses": list(statuses)})
    return [InDoubt(**values(row)) for row in found]


async def of_attempts(session: AsyncSession, attempt_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[Look]]:
    """Every look so far, by attempt, oldest first."""
    table = reconcile_looks.c
    rows = await session.execute(
        select(table.attempt_id, table.looked_at, table.seen, table.x_post_ids)
        .where(table.attempt_id.in_(attempt_ids))
        .order_by(table.looked_at, table.id)
    )
    found: dict[UUID, list[Look]] = {}
    for row in rows:
        found.setdefault(row.attempt_id, []).append(Look(row.looked_at, row.seen, tuple(row.x_post_ids)))
    return found


async def add(session: AsyncSession, attempt_id: UUID, look: Look, verdict: Verdict, reason: str) -> None:
    """Note one look and what it led to."""
    await session.execute(
        insert(reconcile_looks).values(
            attempt_id=attempt_id,
            looked_at=look.at,
            seen=look.seen,
            x_post_ids=list(look.x_post_ids),
            verdict=verdict,
            reason=reason,
        )
    )


@dataclass(frozen=True)
class Uncertain:
    """A post that is held or unknown, as an operator sees it; `x_post_ids` are posts on X that could be it.

    `attempt_id` is None for a part of a thread that is held because of the part before.
    """

    id: UUID
    bot: str
    x_user_id: str | None
    text: str
    due_at: datetime
    expires_at: datetime | None
    status: str
    reason: str | None
    cancel_wanted: bool
    attempt_id: UUID | None
    sent_at: datetime | None
    looks: int
    looked_at: datetime | None
    next_look_at: datetime | None
    x_post_ids: Sequence[str]


_UNCERTAIN = text(
    """
    SELECT post.id, bot.handle AS bot, bot.x_user_id, post.text, post.due_at, post.expires_at, post.status, post.reason,
        post.cancel_wanted_at IS NOT NULL AS cancel_wanted, attempt.id AS attempt_id,
        coalesce(attempt.first_byte_at, attempt.marked_at) AS sent_at, coalesce(look.looks, 0) AS looks,
        look.looked_at, CASE WHEN post.status = 'unknown' THEN attempt.look_at END AS next_look_at,
        coalesce(look.x_post_ids, '{}') AS x_post_ids
    FROM posts AS post
    JOIN bots AS bot ON bot.id = post.bot_id
    LEFT JOIN publish_attempts AS attempt ON attempt.post_id = post.id AND attempt.ended = 'unknown'
    LEFT JOIN LATERAL (
        SELECT looked_at, x_post_ids, count(*) OVER () AS looks FROM reconcile_looks
        WHERE attempt_id = attempt.id ORDER BY looked_at DESC LIMIT 1
    ) AS look ON true
    WHERE post.status IN ('held', 'unknown')
        AND (CAST(:post_id AS uuid) IS NULL OR post.id = :post_id)
        AND (CAST(:bot AS text) IS NULL OR lower(bot.handle) = lower(:bot))
        AND (CAST(:label AS text) IS NULL OR :label = ANY(bot.labels))
        AND (CAST(:within AS text[]) IS NULL OR bot.labels && CAST(:within AS text[]))
    ORDER BY post.status, post.due_at, post.id
    LIMIT :limit
    """
)


async def uncertain(
    session: AsyncSession,
    *,
    post_id: UUID | None = None,
    bot: str | None = None,
    label: str | None = None,
    within: Collection[str] | None = None,
    limit: int = 1000,
) -> Sequence[Uncertain]:
    """Posts whose delivery is uncertain, held ones first; `within` are the labels that the reader may see."""
    given = {"post_id": post_id, "bot": bot, "label": label, "limit": limit}
    rows = await session.execute(_UNCERTAIN, {**given, "within": None if within is None else list(within)})
    return [Uncertain(**values(row)) for row in rows]


async def known(session: AsyncSession, x_post_ids: Sequence[str]) -> set[str]:
    """Those posts on X that are known to be posts of ours."""
    rows = await session.execute(
        text(
            "SELECT x_post_id FROM publish_attempts WHERE x_post_id = ANY(:ids)"
            " UNION SELECT x_post_id FROM posts WHERE x_post_id = ANY(:ids)"
        ),
        {"ids": list(x_post_ids)},
    )
    return {row.x_post_id for row in rows}


async def due_in(session: AsyncSession) -> timedelta | None:
    """How long until something is to be looked at or deleted, negative where it is overdue; None where nothing is."""
    found: timedelta | None = (
        await session.execute(
            text(
                "SELECT least((SELECT min(coalesce(look_at, app_now())) FROM publish_attempts AS attempt"
                " JOIN posts AS post ON post.id = attempt.post_id"
                " WHERE attempt.ended = 'unknown' AND post.status = 'unknown'),"
                " (SELECT min(next_at) FROM posts WHERE status = 'published' AND cancel_wanted_at IS NOT NULL))"
                " - app_now()"
            )
        )
    ).scalar_one()
    return found
