"""Approvals: which posts wait for a person, for what words, and what the person said."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, new_id, values

approvals = Table(
    "approvals",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("post_id", Id, ForeignKey("posts.id", ondelete="CASCADE"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("text_hash", LargeBinary, nullable=False, comment="an approval is for these words; others need their own"),
    Column("rules", ARRAY(Text), nullable=False, comment="which rules asked"),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Instant, nullable=False, server_default=app_now),
    Column("expires_at", Instant, nullable=False),
    Column("decision", Text),
    Column("decided_by", Text),
    Column("decided_at", Instant),
    Column("comment", Text),
)


@dataclass(frozen=True)
class Question:
    """What a person is to decide."""

    post_id: UUID
    revision: int
    text_hash: bytes
    rules: Sequence[str]
    asked_by: str


@dataclass(frozen=True)
class Waiting:
    """A post that waits for a person, with what was approved of it last."""

    id: UUID
    post_id: UUID
    bot_id: UUID
    bot: str
    persona: str
    text: str
    text_before: str | None
    due_at: datetime
    revision: int
    text_hash: bytes
    rules: Sequence[str]
    findings: Sequence[Mapping[str, Any]]
    thread_id: UUID | None
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    authors: Sequence[str]


async def ask(session: AsyncSession, questions: Sequence[Question], within: timedelta) -> None:
    """Ask a person about these posts; what was asked of them before is void."""
    if not questions:
        return
    await void(session, [one.post_id for one in questions], questions[0].asked_by)
    rows = [
        {
            "post_id": one.post_id,
            "revision": one.revision,
            "text_hash": one.text_hash,
            "rules": list(one.rules),
            "asked_by": one.asked_by,
        }
        for one in questions
    ]
    await session.execute(insert(approvals).values(expires_at=app_now + within), rows)


async def void(session: AsyncSession, post_ids: Sequence[UUID], by: str) -> None:
    """Nothing is asked of these posts any more."""
    await session.execute(
        text(
            "UPDATE approvals SET decision = 'void', decided_by = :by, decided_at = app_now()"
            " WHERE post_id = ANY (CAST(:post_ids AS uuid[])) AND decision IS NULL"
        ),
        {"post_ids": list(post_ids), "by": by},
    )


_APPROVED = text(
    """
    SELECT given.post_id, rule, said.decided_by
    FROM unnest(CAST(:post_ids AS uuid[]), CAST(:hashes AS bytea[])) AS given (post_id, text_hash)
    JOIN approvals AS said ON said.post_id = given.post_id AND said.text_hash = given.text_hash
        AND said.decision = 'approved'
    CROSS JOIN LATERAL unnest(said.rules) AS rule
    ORDER BY said.id
    """
)


async def approved(
    session: AsyncSession, text_hashes: Mapping[UUID, bytes]
) -> Mapping[UUID, Sequence[tuple[str, str]]]:
    """By post, which rules somebody overcame for these very words, and who."""
    found: dict[UUID, list[tuple[str, str]]] = {}
    given = {"post_ids": list(text_hashes), "hashes": list(text_hashes.values())}
    for row in await session.execute(_APPROVED, given):
        found.setdefault(row.post_id, []).append((row.rule, row.decided_by))
    return found


_WAITING = """
    SELECT asked.id, asked.post_id, post.bot_id, bot.handle AS bot, persona.name AS persona, post.text, (
            SELECT coalesce(earlier.text, post.text) FROM approvals AS said
            LEFT JOIN post_revisions AS earlier ON earlier.post_id = said.post_id AND earlier.revision = said.revision
            WHERE said.post_id = post.id AND said.decision = 'approved' ORDER BY said.id DESC LIMIT 1
        ) AS text_before,
        post.due_at, asked.revision, asked.text_hash, asked.rules, coalesce((
            SELECT findings FROM verdicts AS verdict WHERE verdict.post_id = post.id
                AND verdict.revision = asked.revision ORDER BY judged_at DESC LIMIT 1), '[]') AS findings,
        post.thread_id, asked.asked_by, asked.asked_at, asked.expires_at, array(
            SELECT post.created_by UNION SELECT replaced_by FROM post_revisions AS change
            WHERE change.post_id = post.id UNION SELECT asked.asked_by) AS authors
    FROM approvals AS asked
    JOIN posts AS post ON post.id = asked.post_id
    JOIN bots AS bot ON bot.id = post.bot_id
    JOIN personas AS persona ON persona.id = bot.persona_id
    WHERE asked.decision IS NULL AND post.status = 'awaiting_approval' AND asked.expires_at > app_now()
        AND (CAST(:labels AS text[]) IS NULL OR bot.labels && CAST(:labels AS text[]))
"""
_LIST = text(
    _WAITING
    + """
        AND (CAST(:bot AS text) IS NULL OR lower(bot.handle) = lower(:bot))
        AND (CAST(:persona AS text) IS NULL OR persona.name = :persona)
        AND (CAST(:rule AS text) IS NULL OR :rule = ANY (asked.rules))
    ORDER BY post.due_at, post.id LIMIT :limit
    """
)
# The rows of posts are held first, in the order of their ids, as by everybody who holds several.
_HOLD = text(
    """
    SELECT id FROM posts WHERE status = 'awaiting_approval' AND (id = ANY (CAST(:post_ids AS uuid[])) OR thread_id IN (
        SELECT thread_id FROM posts WHERE id = ANY (CAST(:post_ids AS uuid[])) AND thread_id IS NOT NULL))
    ORDER BY id FOR UPDATE
    """
)
_OF_POSTS = text(_WAITING + " AND post.id = ANY (CAST(:post_ids AS uuid[])) ORDER BY post.id")


async def waiting(
    session: AsyncSession,
    within: Collection[str] | None,
    *,
    bot: str | None = None,
    persona: str | None = None,
    rule: str | None = None,
    limit: int = 200,
) -> Sequence[Waiting]:
    """Posts of the bots within labels that wait for a person, the next due first."""
    given = {"labels": _labels(within), "bot": bot, "persona": persona, "rule": rule, "limit": limit}
    return [Waiting(**values(row)) for row in await session.execute(_LIST, given)]


async def hold(session: AsyncSession, post_ids: Sequence[UUID], within: Collection[str] | None) -> Sequence[Waiting]:
    """Those of these posts that wait still, with the other parts of their threads; nobody else can change them until
    the transaction ends."""
    held = [row.id for row in await session.execute(_HOLD, {"post_ids": list(post_ids)})]
    found = await session.execute(_OF_POSTS, {"labels": _labels(within), "post_ids": held})
    return [Waiting(**values(row)) for row in found]


def _labels(within: Collection[str] | None) -> list[str] | None:
    return None if within is None else list(within)


_DECIDE = text(
    """
    WITH said AS (
        UPDATE approvals SET decision = :decision, decided_by = :by, decided_at = app_now(), comment = :comment
        WHERE id = ANY (CAST(:ids AS uuid[])) AND decision IS NULL RETURNING post_id
    )
    UPDATE posts SET status = :status, reason = :reason, updated_at = app_now()
    FROM said WHERE posts.id = said.post_id AND posts.status = 'awaiting_approval'
    """
)


async def decide(
    session: AsyncSession,
    ids: Sequence[UUID],
    decision: str,
    status: str,
    by: str,
    comment: str | None,
    reason: str | None,
) -> None:
    """Write down what a person said, and move the posts."""
    given = {"ids": list(ids), "decision": decision, "status": status, "by": by, "comment": comment, "reason": reason}
    await session.execute(_DECIDE, given)


_EXPIRE = text(
    """
    WITH late AS (
        SELECT post.id, asked.id AS asked_id FROM approvals AS asked JOIN posts AS post ON post.id = asked.post_id
        WHERE asked.decision IS NULL AND post.status = 'awaiting_approval'
            AND least(asked.expires_at, misfires_at(post, :late, :grace)) <= (SELECT app_now())
        ORDER BY post.id FOR UPDATE OF post SKIP LOCKED
    ), ended AS (
        UPDATE approvals SET decision = 'expired', decided_at = app_now()
        FROM late WHERE approvals.id = late.asked_id
    )
    UPDATE posts SET status = 'expired', reason = 'nobody approved it in time', updated_at = app_now()
    FROM late WHERE posts.id = late.id RETURNING posts.id
    """
)


async def expire(session: AsyncSession, late: timedelta, grace: timedelta) -> Sequence[UUID]:
    """End every post that nobody approved in time; answers their ids."""
    return [row.id for row in await session.execute(_EXPIRE, {"late": late, "grace": grace})]


_END_ALL = text(
    """
    WITH left_over AS (
        SELECT post.id, asked.id AS asked_id FROM approvals AS asked JOIN posts AS post ON post.id = asked.post_id
        WHERE asked.decision IS NULL AND post.status = 'awaiting_approval'
            AND split_part(asked.asked_by, '/', 1) = :author
        ORDER BY post.id FOR UPDATE OF post
    ), ended AS (
        UPDATE approvals SET decision = 'void', decided_by = :by, decided_at = app_now()
        FROM left_over WHERE approvals.id = left_over.asked_id
    )
    UPDATE posts SET status = 'rejected', reason = :reason, updated_at = app_now()
    FROM left_over WHERE posts.id = left_over.id RETURNING posts.id
    """
)


async def end_all(session: AsyncSession, author: str, by: str, reason: str) -> Sequence[UUID]:
    """Reject whatever an author, or a key of his, asked for and nobody decided; answers the posts."""
    return [row.id for row in await session.execute(_END_ALL, {"author": author, "by": by, "reason": reason})]
