"""Stops: a person's word that nothing goes out, for the fleet, an app, a label or a bot."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Column, ForeignKey, Table, Text, cast, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, new_id, values
from tasks.store.bots import bots
from tasks.store.x_apps import x_apps

stops = Table(
    "stops",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("scope", Text, nullable=False),
    Column("x_app_id", Id, ForeignKey("x_apps.id")),
    Column("label", Text),
    Column("bot_id", Id, ForeignKey("bots.id")),
    Column("reason", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("ends_at", Instant),
    Column("lifted_at", Instant),
    Column("lifted_by", Text),
)


@dataclass(frozen=True)
class StopRow:
    """A stop; `name` is the app, the label or the bot that it is for, None for the fleet."""

    id: UUID
    scope: str
    name: str | None
    reason: str
    created_by: str
    created_at: datetime
    ends_at: datetime | None
    lifted_at: datetime | None
    lifted_by: str | None
    bot_labels: Sequence[str]

    @property
    def labels(self) -> frozenset[str] | None:
        """The labels that it concerns; None where it concerns everybody of the fleet or of an app."""
        if self.scope == "label":
            return frozenset({self.name or ""})
        return frozenset(self.bot_labels) if self.scope == "bot" else None


_NAME = func.coalesce(x_apps.c.name, stops.c.label, bots.c.handle).label("name")
_SELECTED = (
    select(
        stops.c.id,
        stops.c.scope,
        _NAME,
        stops.c.reason,
        stops.c.created_by,
        stops.c.created_at,
        stops.c.ends_at,
        stops.c.lifted_at,
        stops.c.lifted_by,
        func.coalesce(bots.c.labels, cast([], ARRAY(Text))).label("bot_labels"),
    )
    .join_from(stops, bots, stops.c.bot_id == bots.c.id, isouter=True)
    .join(x_apps, stops.c.x_app_id == x_apps.c.id, isouter=True)
)
_STANDING = stops.c.lifted_at.is_(None) & or_(stops.c.ends_at.is_(None), stops.c.ends_at > app_now)


async def add(session: AsyncSession, **wanted: Any) -> UUID:
    """Insert one."""
    found: UUID = (await session.execute(insert(stops).values(**wanted).returning(stops.c.id))).scalar_one()
    return found


async def get(session: AsyncSession, stop_id: UUID) -> StopRow | None:
    """One stop, or None."""
    row = (await session.execute(_SELECTED.where(stops.c.id == stop_id))).one_or_none()
    return StopRow(**values(row)) if row else None


async def standing(session: AsyncSession) -> Sequence[StopRow]:
    """Stops in force, the oldest first."""
    found = await session.execute(_SELECTED.where(_STANDING).order_by(stops.c.created_at))
    return [StopRow(**values(row)) for row in found]


async def lift(session: AsyncSession, stop_ids: Sequence[UUID], by: str) -> Sequence[UUID]:
    """End stops; answers those that were in force."""
    found = await session.execute(
        update(stops)
        .where(stops.c.id.in_(stop_ids), stops.c.lifted_at.is_(None))
        .values(lifted_at=app_now, lifted_by=by)
        .returning(stops.c.id)
    )
    return [row.id for row in found]


async def barrier(session: AsyncSession, within_ms: int) -> None:
    """Wait until every mark that did not see a stop is through; raises OperationalError where that takes too long."""
    await session.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": str(within_ms)})
    await session.execute(text("SELECT pg_advisory_xact_lock(stop_key())"))


async def end_marks(session: AsyncSession) -> int:
    """End the sessions that are in the middle of a mark; what they marked is undone. Answers how many."""
    found: int = (await session.execute(text("SELECT end_marks()"))).scalar_one()
    return found


@dataclass(frozen=True)
class InFlight:
    """A request that left or may still leave within its time: nothing is known of its outcome yet."""

    post_id: UUID
    bot: str
    marked_at: datetime
    start_by: datetime


# Nothing starts after its start_by, so what is past it and open is on its way or lost with its sender.
_IN_FLIGHT = text(
    """
    SELECT attempt.post_id, bot.handle AS bot, attempt.marked_at, attempt.start_by
    FROM publish_attempts AS attempt
    JOIN bots AS bot ON bot.id = attempt.bot_id
    JOIN stops AS stop ON stop.id = :stop_id AND (stop.scope = 'fleet' OR stop.x_app_id = bot.x_app_id
        OR stop.bot_id = bot.id OR stop.label = ANY (bot.labels))
    WHERE attempt.ended IS NULL
    ORDER BY attempt.marked_at, attempt.post_id
    """
)


async def in_flight(session: AsyncSession, stop_id: UUID) -> Sequence[InFlight]:
    """Attempts without an outcome of the bots that a stop is for, the oldest first."""
    return [InFlight(**values(row)) for row in await session.execute(_IN_FLIGHT, {"stop_id": stop_id})]


@dataclass(frozen=True)
class Overdue:
    """Posts of a bot that are due and silenced by certain stops alone."""

    bot: str
    goes_out: int
    expires: int


_OVERDUE = text(
    """
    SELECT bot.handle AS bot,
        count(*) FILTER (WHERE misfires_at(post, :late, :grace) > (SELECT app_now())) AS goes_out,
        count(*) FILTER (WHERE misfires_at(post, :late, :grace) <= (SELECT app_now())) AS expires
    FROM posts AS post
    JOIN bots AS bot ON bot.id = post.bot_id
    WHERE post.status = 'scheduled' AND post.next_at <= (SELECT app_now()) AND bot.state = 'active'
        AND (CAST(:within AS text[]) IS NULL OR bot.labels && CAST(:within AS text[]))
        AND EXISTS (SELECT 1 FROM stops AS lifted WHERE lifted.id = ANY (:stop_ids) AND (lifted.scope = 'fleet'
            OR lifted.x_app_id = bot.x_app_id OR lifted.bot_id = bot.id OR lifted.label = ANY (bot.labels)))
        AND NOT EXISTS (SELECT 1 FROM stops AS other WHERE other.lifted_at IS NULL AND other.id <> ALL (:stop_ids)
            AND (other.ends_at IS NULL OR other.ends_at > (SELECT app_now())) AND (other.scope = 'fleet'
            OR other.x_app_id = bot.x_app_id OR other.bot_id = bot.id OR other.label = ANY (bot.labels)))
        AND NOT EXISTS (SELECT 1 FROM breakers WHERE closed_at IS NULL
            AND (breakers.x_app_id = bot.x_app_id OR breakers.bot_id = bot.id))
    GROUP BY bot.handle ORDER BY bot.handle
    """
)


async def overdue(
    session: AsyncSession,
    stop_ids: Sequence[UUID],
    late: timedelta,
    grace: timedelta,
    within: Collection[str] | None,
) -> Sequence[Overdue]:
    """What lifting these stops does with posts that are due already, by bot, of those within labels (None: all)."""
    given: Mapping[str, Any] = {
        "stop_ids": list(stop_ids),
        "late": late,
        "grace": grace,
        "within": None if within is None else sorted(within),
    }
    return [Overdue(**values(row)) for row in await session.execute(_OVERDUE, given)]


_SAY_SILENCE = text(
    """
    UPDATE posts SET reason = said.words, updated_at = app_now()
    FROM (
        SELECT post.id, 'waits: ' || silence_of(bot) AS words
        FROM posts AS post JOIN bots AS bot ON bot.id = post.bot_id
        WHERE post.status = 'scheduled' AND post.next_at <= (SELECT app_now()) AND silenced(bot)
        ORDER BY post.next_at LIMIT 5000
    ) AS said
    WHERE posts.id = said.id AND posts.status = 'scheduled' AND posts.reason IS DISTINCT FROM said.words
    """
)


async def say_silence(session: AsyncSession) -> None:
    """Write at due posts of silenced bots why they wait."""
    await session.execute(_SAY_SILENCE)
