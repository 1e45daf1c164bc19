"""Attempts to create a post on X: written before the first byte, settled after the answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

from sqlalchemy import Boolean, Column, ForeignKey, Integer, LargeBinary, Numeric, Table, Text, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.posts import NextStep, Outcome
from tasks.store.base import Id, Instant, app_now, metadata, new_id
from tasks.store.claims import ClaimedPost

publish_attempts = Table(
    "publish_attempts",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("post_id", Id, ForeignKey("posts.id"), nullable=False),
    Column("bot_id", Id, ForeignKey("bots.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("sender_id", Id, ForeignKey("senders.id"), nullable=False),
    Column("lease_epoch", Integer, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("x_app_id", Id, ForeignKey("x_apps.id")),
    Column("token_expires_at", Instant, comment="after it, and a minute, X takes no late request any more"),
    Column(
        "resend",
        Boolean,
        nullable=False,
        server_default="false",
        comment="an earlier attempt of this post once was unknown",
    ),
    Column("settled_by", Text),
    Column("price_kind", Text, nullable=False, server_default="post"),
    Column("price_usd", Numeric(10, 5), nullable=False, server_default="0"),
    Column("marked_at", Instant, nullable=False, server_default=app_now),
    Column("start_by", Instant, nullable=False),
    Column("give_up_at", Instant, nullable=False),
    Column("first_byte_at", Instant),
    Column("ended", Text),
    Column("ended_at", Instant),
    Column("http_status", Integer),
    Column("problem", Text),
    Column("x_post_id", Text, unique=True),
    Column("look_at", Instant, comment="when the timeline is looked at next; whoever looks moves it, and so holds it"),
)


@dataclass(frozen=True)
class Settled:
    """An attempt whose outcome is to be written, and where its post goes."""

    attempt_id: UUID
    post_id: UUID
    outcome: Outcome
    next_step: NextStep


@dataclass(frozen=True)
class Sending:
    """A claimed post with what its mark writes down: the end of the token it is sent by, what it costs, and the day of
    its bot, in which its posts are counted."""

    post: ClaimedPost
    fingerprint: bytes
    token_ends_at: datetime
    price_kind: str
    price_usd: Decimal
    day: tuple[datetime, datetime]


@dataclass(frozen=True)
class Room:
    """What X takes of a bot and of an app, counted over `bot_span` and `app_span`, and the share of a month's money
    that posts may use; the words say it to people."""

    bot_most: int
    bot_span: timedelta
    bot_words: str
    app_most: int
    app_span: timedelta
    app_words: str
    money_share: Decimal


@dataclass(frozen=True)
class Marked:
    """Attempt ids by post id, and why the others wait; a post that is in neither is no longer the sender's."""

    attempts: Mapping[UUID, UUID]
    waiting: Mapping[UUID, str]


_MARK = text(
    """
    SELECT marked_post_id, attempt_id, waits_because FROM mark_posts(
        :sender, :policy_version, CAST(:ids AS uuid[]), CAST(:epochs AS integer[]), CAST(:revisions AS integer[]),
        CAST(:fingerprints AS bytea[]), CAST(:token_ends AS timestamptz[]), CAST(:kinds AS text[]),
        CAST(:prices AS numeric[]), CAST(:day_starts AS timestamptz[]), CAST(:day_ends AS timestamptz[]),
        :start_within, :give_up_within, :waits, :bot_most, :bot_span, :bot_words, :app_most, :app_span, :app_words,
        :money_share, :lock_timeout_ms)
    """
)


async def mark(
    session: AsyncSession,
    sender: UUID,
    sending: Sequence[Sending],
    room: Room,
    *,
    policy_version: str,
    start_within: timedelta,
    give_up_within: timedelta,
    waits: timedelta,
    lock_timeout_ms: int,
) -> Marked:
    """Move claimed posts to sending, each with its attempt; what may not go is given back, and says why.

    One statement, to be committed by itself. Raises IntegrityError where another sender marked the same text of a bot
    at the same moment.
    """
    found = await session.execute(
        _MARK,
        {
            "sender": sender,
            "policy_version": policy_version,
            "ids": [one.post.id for one in sending],
            "epochs": [one.post.lease_epoch for one in sending],
            "revisions": [one.post.revision for one in sending],
            "fingerprints": [one.fingerprint for one in sending],
            "token_ends": [one.token_ends_at for one in sending],
            "kinds": [one.price_kind for one in sending],
            "prices": [one.price_usd for one in sending],
            "day_starts": [one.day[0] for one in sending],
            "day_ends": [one.day[1] for one in sending],
            "start_within": start_within,
            "give_up_within": give_up_within,
            "waits": waits,
            "lock_timeout_ms": lock_timeout_ms,
            **asdict(room),
        },
    )
    rows = list(found)
    return Marked(
        {row.marked_post_id: row.attempt_id for row in rows if row.attempt_id is not None},
        {row.marked_post_id: row.waits_because for row in rows if row.attempt_id is None},
    )


SettledBy = Literal["answer", "sweeper", "timeline", "person"]

# An outcome is written where none stands or where it was unknown, and a late 201 over everything but an answer:
# X's word always wins over what we concluded without it.
_SETTLE = text(
    """
    WITH item AS (
        SELECT * FROM jsonb_to_recordset(CAST(:items AS jsonb)) AS item (
            attempt_id uuid, post_id uuid, ended text, first_byte_at timestamptz, http_status integer, problem text,
            x_post_id text, status text, reason text, next_at timestamptz, published_at timestamptz)
    ), settled AS (
        UPDATE publish_attempts AS attempt
        SET ended = item.ended, ended_at = app_now(), settled_by = :by,
            http_status = coalesce(item.http_status, CASE WHEN :by <> 'answer' THEN attempt.http_status END),
            problem = coalesce(item.problem, CASE WHEN :by <> 'answer' THEN attempt.problem END),
            x_post_id = item.x_post_id,
            first_byte_at = coalesce(item.first_byte_at, attempt.first_byte_at)
        FROM item
        WHERE attempt.id = item.attempt_id AND (attempt.ended IS NULL OR attempt.ended = 'unknown'
            OR (item.ended = 'accepted' AND attempt.settled_by <> 'answer' AND :by = 'answer'))
        RETURNING attempt.id
    )
    UPDATE posts
    SET status = item.status, reason = item.reason, x_post_id = coalesce(item.x_post_id, posts.x_post_id),
        next_at = coalesce(item.next_at, posts.next_at), lease_until = NULL, updated_at = app_now(),
        attempts = posts.attempts - CASE WHEN item.ended IN ('throttled', 'not_sent') THEN 1 ELSE 0 END,
        published_at = CASE WHEN item.status = 'published'
            THEN coalesce(item.published_at, item.first_byte_at, app_now()) END
    FROM item JOIN settled ON settled.id = item.attempt_id
    WHERE posts.id = item.post_id AND (posts.status IN ('sending', 'unknown', 'held') OR item.ended = 'accepted')
    RETURNING posts.id
    """
)


async def settle(session: AsyncSession, settled: Sequence[Settled], by: SettledBy = "answer") -> set[UUID]:
    """Write outcomes and move the posts; answers the posts that moved. One that X throttled, or that never
    left, counts no attempt.

    Hold attempts and posts by `looks.lock` before.
    """
    items = [
        {
            "attempt_id": str(one.attempt_id),
            "post_id": str(one.post_id),
            "ended": one.outcome.ended,
            "first_byte_at": _iso(one.outcome.first_byte_at),
            "http_status": one.outcome.http_status,
            "problem": one.outcome.problem,
            "x_post_id": one.outcome.x_post_id,
            "status": one.next_step.status,
            "reason": one.next_step.reason,
            "next_at": _iso(one.next_step.retry_at),
            "published_at": _iso(one.outcome.published_at),
        }
        for one in settled
    ]
    return {row.id for row in await session.execute(_SETTLE, {"items": json.dumps(items), "by": by})}


_SWEEP = text(
    """
    WITH overdue AS (
        SELECT id FROM publish_attempts WHERE ended IS NULL AND (give_up_at < (SELECT app_now())
            OR sender_id IN (SELECT id FROM senders WHERE died_at IS NOT NULL))
        ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE publish_attempts AS attempt SET ended = 'unknown', ended_at = app_now(), settled_by = 'sweeper',
            problem = 'no-outcome-written'
        FROM overdue WHERE attempt.id = overdue.id RETURNING attempt.post_id
    ), held AS (
        SELECT id FROM posts WHERE id IN (SELECT post_id FROM ended) AND status = 'sending' ORDER BY id FOR UPDATE
    )
    UPDATE posts
    SET status = 'unknown', reason = 'the sender ended before it wrote down an answer', updated_at = app_now()
    FROM held WHERE posts.id = held.id
    RETURNING posts.id
    """
)


async def sweep(session: AsyncSession) -> Sequence[UUID]:
    """Attempts past their time, or whose sender is dead, become unknown, and so do their posts; answers those posts."""
    return [row.id for row in await session.execute(_SWEEP)]


async def look_sooner(session: AsyncSession, senders: Sequence[UUID]) -> None:
    """Look at once for what these senders left in doubt: something is known of them that was not before."""
    held = (
        select(publish_attempts.c.id)
        .where(
            publish_attempts.c.sender_id.in_(senders),
            publish_attempts.c.ended == "unknown",
            publish_attempts.c.look_at > app_now,
        )
        .order_by(publish_attempts.c.id)
        .with_for_update()
        .cte("held")
    )
    await session.execute(update(publish_attempts).where(publish_attempts.c.id == held.c.id).values(look_at=app_now))


async def look_again(session: AsyncSession, attempt_id: UUID, at: datetime) -> None:
    """Set when the timeline is looked at next for an attempt in doubt."""
    await session.execute(update(publish_attempts).where(publish_attempts.c.id == attempt_id).values(look_at=at))


async def resends(session: AsyncSession, attempt_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the attempts before which another one of the same post was in doubt."""
    found = await session.execute(
        select(publish_attempts.c.id).where(publish_attempts.c.id.in_(attempt_ids), publish_attempts.c.resend)
    )
    return {row.id for row in found}


async def open_of(session: AsyncSession, sender: UUID, post_ids: Sequence[UUID]) -> Mapping[UUID, UUID]:
    """Attempts of a sender without an outcome, by post id."""
    found = await session.execute(
        select(publish_attempts.c.post_id, publish_attempts.c.id).where(
            publish_attempts.c.sender_id == sender,
            publish_attempts.c.post_id.in_(post_ids),
            publish_attempts.c.ended.is_(None),
        )
    )
    return {row.post_id: row.id for row in found}


async def of_post(session: AsyncSession, post_id: UUID) -> Sequence[Mapping[str, object]]:
    """Every attempt of a post, oldest first, without the fingerprint."""
    wanted = [column for column in publish_attempts.c if column.name != "fingerprint"]
    found = await session.execute(
        select(*wanted).where(publish_attempts.c.post_id == post_id).order_by(publish_attempts.c.marked_at)
    )
    return [dict(row._mapping) for row in found]


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None
