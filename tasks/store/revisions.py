"""Revisions: what a post says now, as it was written, and what it said before."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, case, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.budget import kind_of_post
from tasks.domain.posts import Draft
from tasks.store.base import Id, Instant, app_now, metadata, values
from tasks.store.bots import bots
from tasks.store.posts import posts, wake_runs

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
    await wake_runs(session)


async def of_post(session: AsyncSession, post_id: UUID) -> Sequence[Mapping[str, Any]]:
    """What a post said before it was changed, oldest first."""
    wanted = select(*post_revisions.c).where(post_revisions.c.post_id == post_id).order_by(post_revisions.c.revision)
    return [dict(row._mapping) for row in await session.execute(wanted)]
