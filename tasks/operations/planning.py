"""Planning: what bots will say over days to come, through the same gate as every post."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.connections import Connections
from tasks.domain import planning
from tasks.domain.personas import Handle
from tasks.domain.planning import Evergreen, Name, Plan, Planned, Said, Speaker
from tasks.domain.posts import Draft
from tasks.domain.recurrence import Recurrence
from tasks.domain.roles import Actor, Grant, system
from tasks.operations import posts
from tasks.operations.bots import NoSuchBotError
from tasks.operations.posts import Receipt
from tasks.store import base, blackouts, evergreen, run_requests
from tasks.store import planning as store
from tasks.store.blackouts import BlackoutRow
from tasks.store.planning import SpeakerRow

# Nothing is planned for sooner: a person may want to look at it first.
LEAD = timedelta(minutes=10)
# What was said longer ago than any template or evergreen text can ask for plays no part.
MEMORY = timedelta(days=400)
# Drafts that are stored in one transaction.
BATCH = 500


FLOW = "plan-posts"


class Wish(BaseModel):
    """What to plan: so many days for these bots.

    Without `bots` all that the asker may plan for; without `days` as many as each persona says under `plan_ahead_days`.
    The same `seed` makes the same plan, another one another.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: Annotated[int, Field(ge=1, le=planning.DAYS_MAX)] | None = None
    seed: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    bots: Annotated[tuple[Handle, ...], Field(min_length=1, max_length=10_000)] | None = None


class PlanningUnderWayError(RuntimeError):
    """Another plan is being made; two at once would say the same twice."""


@dataclass(frozen=True)
class Entry:
    """One post of a calendar, and what the gate and the outbox made of it."""

    planned: Planned
    receipt: Receipt


@dataclass(frozen=True)
class Calendar:
    """Posts in the order they are due; `usd` is what those cost that stand or would stand."""

    entries: Sequence[Entry]
    notes: Sequence[str]
    usd: Decimal


async def serve(at: Connections, run_request_id: UUID | None, flow_run_id: UUID) -> Calendar:
    """The plan that a run was asked for, within the labels of who asked; where nobody did, the fleet's for today."""
    if run_request_id is None:
        return await make(at, Wish(), system(FLOW))
    async with at.transaction() as session:
        asked = await run_requests.take(session, run_request_id, FLOW, flow_run_id)
    labels = (None,) if asked.labels is None else sorted(asked.labels)
    actor = Actor(FLOW, "system", frozenset(Grant("operator", label) for label in labels))
    return await make(at, Wish.model_validate(asked.arguments), actor)


async def make(at: Connections, wish: Wish, actor: Actor, dry_run: bool = False) -> Calendar:
    """Fill the turns that are free; what was planned before stays. Raises NoSuchBotError, PlanningUnderWayError."""
    if dry_run:
        return await _make(at, wish, actor, dry_run)
    async with alone(at):
        return await _make(at, wish, actor, dry_run)


@asynccontextmanager
async def alone(at: Connections) -> AsyncIterator[None]:
    """Nobody else plans for the length of the block; raises PlanningUnderWayError where somebody does."""
    async with at.standing_session() as session:
        if not await store.lock(session):
            raise PlanningUnderWayError("another plan is being made; try again in a minute")
        try:
            yield
        finally:
            await store.unlock(session)


async def _make(at: Connections, wish: Wish, actor: Actor, dry_run: bool) -> Calendar:
    async with at.transaction() as session:
        now = await base.now(session)
        speakers = await speakers_of(session, actor, wish.bots, now)
        said = await _said(session, now)
    # Pure arithmetic, for seconds: whoever shares this loop must not wait for it.
    found = await asyncio.to_thread(planning.plan, speakers, said, now + LEAD, wish.days, wish.seed)
    receipts: list[Receipt] = []
    for start in range(0, len(found.posts), BATCH):
        drafts = [_draft(one) for one in found.posts[start : start + BATCH]]
        receipts += await posts.schedule(at, drafts, actor, "plan", dry_run)
    return _calendar(found, receipts)


def _calendar(found: Plan, receipts: Sequence[Receipt]) -> Calendar:
    entries = [Entry(one, receipt) for one, receipt in zip(found.posts, receipts, strict=True)]
    usd = sum((receipt.cost_usd for receipt in receipts if receipt.cost_usd is not None), Decimal(0))
    return Calendar(entries, found.notes, usd)


def _draft(one: Planned) -> Draft:
    return Draft(bot=one.bot, text=one.text, due_at=one.due_at, external_id=str(one.name), template=one.template)


async def speakers_of(
    session: AsyncSession, actor: Actor, handles: Collection[str] | None, now: datetime
) -> Sequence[Speaker]:
    """Bots that the actor may plan for, all of them or those named, as a plan sees them. Raises NoSuchBotError."""
    within = actor.within("posts.schedule")
    bare = None if handles is None else {handle.removeprefix("@").lower() for handle in handles}
    rows = await store.speakers(session, bare, within)
    if bare and (unknown := bare - {row.handle.lower() for row in rows}):
        raise NoSuchBotError(sorted(unknown)[0])
    taken: Mapping[UUID, list[datetime]] = defaultdict(list)
    for bot_id, due_at in await store.taken(session, [row.id for row in rows], now - timedelta(days=1)):
        taken[bot_id].append(due_at)
    items: Mapping[UUID, list[Evergreen]] = defaultdict(list)
    for item in await evergreen.of_bots(session, within):
        recurrence = None if item.recurrence is None else Recurrence.model_validate(item.recurrence)
        items[item.bot_id].append(Evergreen(item.id, item.name, item.variants, item.cooldown_days, recurrence))
    dark = await blackouts.since(session, (now - timedelta(days=1)).date(), None)
    lifts = await store.lifts(session, {row.persona_id for row in rows})
    return [
        Speaker(
            bot_id=row.id,
            handle=row.handle,
            name=row.display_name,
            zone=ZoneInfo(row.time_zone),
            persona=row.persona,
            facts=row.facts,
            posts_per_day_max=row.posts_per_day_max,
            evergreen=items[row.id],
            lifts=lifts.get(row.persona_id, {}),
            taken=taken[row.id],
            blackout=_dark_days(row, dark),
        )
        for row in rows
    ]


def _dark_days(bot: SpeakerRow, dark: Sequence[BlackoutRow]) -> frozenset[date]:
    return frozenset(
        one.day
        for one in dark
        if one.bot == bot.handle or (one.bot is None and (one.label is None or one.label in bot.labels))
    )


async def _said(session: AsyncSession, now: datetime) -> Sequence[Said]:
    return [
        Said(row.bot_id, Name.read(row.external_id), row.template, row.status not in store.OVER)
        for row in await store.planned(session, now - MEMORY)
    ]


async def free_turns(at: Connections, handle: str, count: int, actor: Actor) -> Sequence[datetime]:
    """The next free turns of a bot by its persona's cadence; raises NoSuchBotError."""
    async with at.transaction() as session:
        now = await base.now(session)
        [speaker] = await speakers_of(session, actor, [handle], now)
    return [one.astimezone(UTC) for one in planning.free_turns(speaker, now, count)]
