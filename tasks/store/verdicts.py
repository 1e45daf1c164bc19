"""What the gate said of a post: bound to its revision and the policy version."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Boolean, Column, ForeignKey, Integer, Table, Text, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.policy.gate import Verdict
from tasks.store.base import Id, Instant, Json, app_now, metadata, values

verdicts = Table(
    "verdicts",
    metadata,
    Column("post_id", Id, ForeignKey("posts.id", ondelete="CASCADE"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("policy_version", Text, primary_key=True),
    Column("allowed", Boolean, nullable=False),
    Column("findings", Json, nullable=False),
    Column("approved_by", Text),
    Column("judged_at", Instant, nullable=False, server_default=app_now),
)


async def add(session: AsyncSession, judged: Mapping[tuple[UUID, int], Verdict]) -> None:
    """Keep verdicts by (post id, revision); one that stands already is never rewritten."""
    if not judged:
        return
    rows = [
        {
            "post_id": post_id,
            "revision": revision,
            "policy_version": verdict.policy_version,
            "allowed": verdict.allowed,
            "approved_by": verdict.approved_by,
            "findings": [asdict(finding) for finding in verdict.findings],
        }
        for (post_id, revision), verdict in judged.items()
    ]
    await session.execute(insert(verdicts).on_conflict_do_nothing(), rows)


async def judged(session: AsyncSession, post_ids: Sequence[UUID], policy_version: str) -> set[tuple[UUID, int]]:
    """Which (post id, revision) have a verdict of this policy version, whatever it says."""
    found = await session.execute(
        select(verdicts.c.post_id, verdicts.c.revision).where(
            verdicts.c.post_id.in_(post_ids), verdicts.c.policy_version == policy_version
        )
    )
    return {(row.post_id, row.revision) for row in found}


async def approve(session: AsyncSession, post_ids: Sequence[UUID], by: str) -> None:
    """Let pass what these posts say now, where nothing but a person's word was missing."""
    await session.execute(
        text(
            """
            UPDATE verdicts AS verdict SET allowed = true, approved_by = :by FROM posts AS post
            WHERE post.id = ANY (CAST(:post_ids AS uuid[])) AND verdict.post_id = post.id
                AND verdict.revision = post.revision AND NOT verdict.allowed
                AND NOT jsonb_path_exists(verdict.findings, '$[*] ? (@.severity != "needs_approval")')
            """
        ),
        {"post_ids": list(post_ids), "by": by},
    )


@dataclass(frozen=True)
class Unjudged:
    """A post that waits for its instant and has no verdict of the policy in force."""

    post_id: UUID
    revision: int
    planned_at: datetime


async def unjudged(session: AsyncSession, policy_version: str, ahead: timedelta, limit: int) -> Sequence[Unjudged]:
    """Posts due after `ahead` that have no verdict of this policy version, the next due first."""
    found = await session.execute(
        text(
            """
            SELECT post.id AS post_id, post.revision, post.planned_at FROM posts AS post
            WHERE post.status = 'scheduled' AND post.next_at > (SELECT app_now() + :ahead) AND NOT EXISTS (
                SELECT 1 FROM verdicts AS verdict WHERE verdict.post_id = post.id AND verdict.revision = post.revision
                    AND verdict.policy_version = :policy_version)
            ORDER BY post.next_at, post.id LIMIT :limit
            """
        ),
        {"policy_version": policy_version, "ahead": ahead, "limit": limit},
    )
    return [Unjudged(**values(row)) for row in found]


async def of_post(session: AsyncSession, post_id: UUID) -> Sequence[Mapping[str, object]]:
    """Every verdict of a post, oldest first."""
    found = await session.execute(select(verdicts).where(verdicts.c.post_id == post_id).order_by(verdicts.c.judged_at))
    return [dict(row._mapping) for row in found]
