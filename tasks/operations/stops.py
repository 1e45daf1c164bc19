"""Stops: from the instant one has returned, nothing more starts for those it is for."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy.exc import OperationalError

from blocks.process import can_judge, proven_dead, this_process
from tasks.connections import Connections
from tasks.domain.roles import Actor
from tasks.operations import activity
from tasks.operations.bots import NoSuchBotError
from tasks.operations.senders import identity
from tasks.operations.x_apps import NoSuchAppError
from tasks.store import base, bots, restores, senders, stops, x_apps
from tasks.store.stops import InFlight, Overdue, StopRow

log = logging.getLogger("vivesphere.debug")

Scope = Literal["fleet", "app", "label", "bot"]

# Marks are given this long to come through; then the sessions that hold them are ended, and this long to be gone.
BARRIER_MS = 2000
ENDED_MS = 1000


class NoSuchStopError(LookupError):
    """No such stop is in force."""


class NotTakenOverError(RuntimeError):
    """The stop stands for another stack that may be at work, and goes when a person has taken over."""


@dataclass(frozen=True)
class Target:
    """Whom a stop is for; `name` is the app's, the label's or the bot's, None for the fleet."""

    scope: Scope
    name: str | None = None


@dataclass(frozen=True)
class Stopped:
    """A stop that holds. `in_flight` left before it, or were lost with their sender: X may still take them.

    `ended_marks` are sessions that froze in the middle of a mark, `killed` the pids of senders on this host.
    """

    stop: StopRow
    in_flight: Sequence[InFlight]
    ended_marks: int = 0
    killed: Sequence[int] = field(default_factory=tuple)


@dataclass(frozen=True)
class Resumption:
    """Stops to be lifted, and what becomes of posts that are due already."""

    stops: Sequence[StopRow]
    overdue: Sequence[Overdue]


async def stop(
    at: Connections, target: Target, reason: str, actor: Actor, ends_at: datetime | None = None, hard: bool = False
) -> Stopped:
    """Stop, and return once no request starts any more; with `hard` every sender on this host is killed as well.

    The one exception is a process that froze between its last look and its first byte: only `hard` ends that one.
    Raises NoSuchBotError, NoSuchAppError, or PermissionError where the actor's roles do not reach that far.
    """
    columns, labels = await _columns(at, target)
    _allowed(actor, labels)
    async with at.transaction() as session:
        stop_id = await stops.add(
            session, scope=target.scope, reason=reason, created_by=actor.name, ends_at=ends_at, **columns
        )
        await activity.note(
            session, actor, "stops.set", target.name or "the fleet", scope=target.scope, stop=str(stop_id), hard=hard
        )
    killed = await _kill_senders(at) if hard else ()
    ended = await _barrier(at)
    async with at.transaction() as session:
        found = await stops.get(session, stop_id)
        open_now = await stops.in_flight(session, stop_id)
        now, rate = await base.now(session), await base.rate(session)
    if open_now:
        last = max(one.start_by for one in open_now)
        await asyncio.sleep(max(0.0, (last - now).total_seconds() / rate))
        async with at.transaction() as session:
            open_now = await stops.in_flight(session, stop_id)
    if found is None:
        raise NoSuchStopError(str(stop_id))
    return Stopped(found, open_now, ended, killed)


async def standing(at: Connections, actor: Actor) -> list[StopRow]:
    """Stops in force that the actor may see."""
    async with at.transaction() as session:
        found = await stops.standing(session)
    within = actor.within("stops.read")
    return [row for row in found if within is None or row.labels is None or row.labels & within]


async def look_at_resumption(at: Connections, stop_ids: Sequence[UUID], actor: Actor) -> Resumption:
    """What lifting these stops would do with posts that the actor may see; raises NoSuchStopError."""
    posting = at.places.settings.posting
    in_force = {row.id: row for row in await standing(at, actor)}
    async with at.transaction() as session:
        if missing := [stop_id for stop_id in stop_ids if stop_id not in in_force]:
            raise NoSuchStopError(str(missing[0]))
        overdue = await stops.overdue(
            session,
            stop_ids,
            timedelta(seconds=posting.late_seconds),
            timedelta(seconds=posting.misfire_grace_seconds),
            actor.within("stops.read"),
        )
    return Resumption([in_force[stop_id] for stop_id in stop_ids], overdue)


async def resume(at: Connections, stop_ids: Sequence[UUID], actor: Actor) -> Resumption:
    """Lift stops; raises NoSuchStopError, NotTakenOverError, or PermissionError where the actor's roles do not reach
    that far."""
    found = await look_at_resumption(at, stop_ids, actor)
    async with at.transaction() as session:
        epoch = await restores.open_one(session)
    if epoch is not None and epoch.stop_id in stop_ids:
        raise NotTakenOverError(
            f"stop {epoch.stop_id} is there because another stack may be posting: once that one is stopped, "
            "`vivesphere db take-over` lifts it"
        )
    for row in found.stops:
        _, labels = await _columns(at, Target(row.scope, row.name))  # type: ignore[arg-type]  # the table's own words
        _allowed(actor, labels)
    async with at.transaction() as session:
        for stop_id in await stops.lift(session, stop_ids, actor.name):
            row = next(row for row in found.stops if row.id == stop_id)
            await activity.note(session, actor, "stops.lift", row.name or "the fleet", scope=row.scope)
    return found


async def say_silence(at: Connections) -> None:
    """Write at due posts of silenced bots why they wait."""
    async with at.transaction() as session:
        await stops.say_silence(session)


async def _columns(at: Connections, target: Target) -> tuple[dict[str, UUID | str], frozenset[str] | None]:
    """The row's columns, and the labels that bound who may do this; None: only who may everywhere."""
    async with at.transaction() as session:
        match target.scope:
            case "fleet":
                return {}, None
            case "label":
                return {"label": target.name or ""}, frozenset({target.name or ""})
            case "bot":
                found = await bots.by_handles(session, [target.name or ""])
                if not found:
                    raise NoSuchBotError(target.name or "")
                [bot] = found.values()
                return {"bot_id": bot.id}, frozenset(bot.labels)
        for app in await x_apps.list_all(session):
            if app.name == target.name:
                return {"x_app_id": app.id}, None
    raise NoSuchAppError(target.name or "")


def _allowed(actor: Actor, labels: frozenset[str] | None) -> None:
    may = actor.may_everywhere("stops.write") if labels is None else actor.may("stops.write", labels)
    if not may:
        raise PermissionError(f"{actor.name} may not stop or resume this: its labels are not those of the role")


async def _barrier(at: Connections) -> int:
    """Wait until no mark is under way that did not see the stop; ends those that hold it up."""
    try:
        async with at.transaction() as session:
            await stops.barrier(session, BARRIER_MS)
        return 0
    except OperationalError as error:
        log.warning("a mark holds up a stop, its session is ended: %s", type(error.orig).__name__)
    async with at.transaction() as session:
        ended = await stops.end_marks(session)
    async with at.transaction() as session:
        await stops.barrier(session, ENDED_MS)
    return ended


async def _kill_senders(at: Connections) -> tuple[int, ...]:
    async with at.transaction() as session:
        rows = await senders.not_found_dead(session, this_process().host)
    here = [row.pid for row in rows if can_judge(identity(row)) and not proven_dead(identity(row))]
    for pid in here:
        os.kill(pid, signal.SIGKILL)
    return tuple(here)
