"""What a plan looks at: bots with their voices, their turns that are taken, and what was planned before."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.personas import Persona
from tasks.domain.planning import Name
from tasks.store.advisory_locks import AdvisoryLock
from tasks.store.base import app_now, values
from tasks.store.best_times import best_times
from tasks.store.bots import bots, in_scope
from tasks.store.personas import personas
from tasks.store.posts import posts, wake_runs

# Posts in these are not on X and will not be.
OVER = ("cancelled", "rejected", "refused", "expired")


@dataclass(frozen=True)
class SpeakerRow:
    """A bot with the persona it speaks with."""

    id: UUID
    handle: str
    display_name: str
    time_zone: str
    posts_per_day_max: int
    labels: Sequence[str]
    facts: dict[str, Any]
    persona_id: UUID
    persona: Persona


async def speakers(
    session: AsyncSession, handles: Collection[str] | None, within: Collection[str] | None
) -> Sequence[SpeakerRow]:
    """Bots within labels that have left neither us nor X, all of them or those named, by handle."""
    names = ("id", "handle", "display_name", "time_zone", "posts_per_day_max", "labels", "facts", "persona_id")
    wanted = (
        select(*(bots.c[name] for name in names), personas.c.definition)
        .join_from(bots, personas)
        .where(in_scope(within), bots.c.state.not_in(("retired", "suspended")))
        .order_by(func.lower(bots.c.handle))
    )
    if handles is not None:
        wanted = wanted.where(func.lower(bots.c.handle).in_([handle.lower() for handle in handles]))
    voices: dict[UUID, Persona] = {}
    found = []
    for row in await session.execute(wanted):
        given = values(row)
        definition = given.pop("definition")
        if row.persona_id not in voices:
            voices[row.persona_id] = Persona.model_validate(definition)
        found.append(SpeakerRow(**given, persona=voices[row.persona_id]))
    return found


async def taken(session: AsyncSession, bot_ids: Collection[UUID], since: datetime) -> Sequence[tuple[UUID, datetime]]:
    """Instants of posts that stand, by bot."""
    found = await session.execute(
        select(posts.c.bot_id, posts.c.due_at).where(
            posts.c.bot_id.in_(bot_ids), posts.c.due_at >= since, posts.c.status.not_in(OVER)
        )
    )
    return [(row.bot_id, row.due_at) for row in found]


@dataclass(frozen=True)
class PlannedRow:
    """A post that a plan made."""

    bot_id: UUID
    external_id: str
    template: str
    status: str


async def planned(session: AsyncSession, since: datetime) -> Sequence[PlannedRow]:
    """Posts of the whole fleet that plans made, due since an instant."""
    found = await session.execute(
        select(posts.c.bot_id, posts.c.external_id, posts.c.template, posts.c.status).where(
            posts.c.source == "plan", posts.c.due_at >= since
        )
    )
    return [PlannedRow(**values(row)) for row in found]


async def of_feed(session: AsyncSession, bot_id: UUID, feed_id: UUID) -> Sequence[Name]:
    """Each post that was made of a feed's entries, whatever became of it."""
    found = await session.execute(
        select(posts.c.external_id).where(
            posts.c.bot_id == bot_id,
            posts.c.source == "plan",
            posts.c.external_id.startswith(f"plan/feed/{feed_id.hex}."),
        )
    )
    return [Name.read(row.external_id) for row in found]


async def release(session: AsyncSession, post_id: UUID, status: Literal["scheduled", "awaiting_approval"]) -> bool:
    """Let a draft go out at its instant, or wait for an approval; False where it is none."""
    found = await session.execute(
        update(posts)
        .where(posts.c.id == post_id, posts.c.status == "draft")
        .values(status=status, updated_at=app_now)
        .returning(posts.c.id)
    )
    await wake_runs(session)
    return found.one_or_none() is not None


async def lifts(session: AsyncSession, persona_ids: Collection[UUID]) -> dict[UUID, dict[tuple[int, int], float]]:
    """What the hours of the week are worth to personas, by (weekday, hour)."""
    columns = (best_times.c.persona_id, best_times.c.weekday, best_times.c.hour, best_times.c.lift)
    found: dict[UUID, dict[tuple[int, int], float]] = {}
    for row in await session.execute(select(*columns).where(best_times.c.persona_id.in_(persona_ids))):
        found.setdefault(row.persona_id, {})[row.weekday, row.hour] = row.lift
    return found


async def lock(session: AsyncSession) -> bool:
    """Hold planning for as long as the connection of this session lives; False where another holds it."""
    found = await session.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": int(AdvisoryLock.PLANNING)})
    return bool(found.scalar_one())


async def unlock(session: AsyncSession) -> None:
    """Let go of what this session's connection holds."""
    await session.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": int(AdvisoryLock.PLANNING)})


async def between(
    session: AsyncSession,
    since: datetime,
    until: datetime,
    within: Collection[str] | None,
    bot: str | None,
    label: str | None,
) -> Sequence[tuple[UUID, str, str, datetime]]:
    """Posts that wait for their instant in a span of time: id, handle and zone of the bot, and when they are due."""
    wanted = (
        select(posts.c.id, bots.c.handle, bots.c.time_zone, posts.c.due_at)
        .join_from(posts, bots)
        .where(
            posts.c.status.in_(("draft", "awaiting_approval", "scheduled")),
            posts.c.due_at >= since,
            posts.c.due_at < until,
            in_scope(within),
        )
        .order_by(posts.c.due_at, posts.c.id)
    )
    if bot:
        wanted = wanted.where(func.lower(bots.c.handle) == bot.lower())
    if label:
        wanted = wanted.where(bots.c.labels.any(label))
    return [(row.id, row.handle, row.time_zone, row.due_at) for row in await session.execute(wanted)]
