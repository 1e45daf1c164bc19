"""What operators must hear of: looked for by the clerk, and looked at again by who tells it."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from blocks.prefect_api import PrefectApi, PrefectError
from tasks.connections import Connections
from tasks.domain import alarms as rules
from tasks.domain import today as facts
from tasks.domain.alarms import Alarm
from tasks.domain.today import Facts
from tasks.operations import notifications
from tasks.operations import today as mornings
from tasks.operations.delivery import BEATS_MISSED
from tasks.operations.patience import PASSING
from tasks.store import base, provenance, run_requests, today
from tasks.store import notifications as store

EVENT = "vivesphere.alarm"
RESOURCE = "vivesphere.alarms"
# Between two events about the same: meanwhile the run that the first one started is at work.
PATIENCE_SECONDS = 60.0
BAD_ENDS = ("failed", "crashed")

log = logging.getLogger("vivesphere.debug")


async def look(at: Connections) -> list[Alarm]:
    """Everything that is wrong now; a part of what `today` shows, without what is dear to count."""
    alive = timedelta(seconds=BEATS_MISSED * at.places.settings.posting.beat_seconds)
    async with at.transaction() as session:
        now = await base.now(session)
        found = Facts(
            now,
            late=await today.late(session, now - facts.LATE, None),
            doubtful=await today.doubtful(session, None),
            bots=await today.bots_in_trouble(session, None),
            breakers=await today.breakers(session, None),
            tokens=await today.old_tokens(session, now + facts.TOKEN_LEFT, None),
            keys=await today.ending_keys(session, now + facts.KEY_LEFT),
            senders_alive=await provenance.senders_alive(session, alive),
        )
    return rules.of_facts(found)


async def morning(at: Connections) -> list[Alarm]:
    """What went out since yesterday and what waits for a person, in one message."""
    found = await mornings.look(at, None, None)
    return [rules.of_morning(found.items, found.now.date(), at.places.front_door)]


async def of_run(at: Connections, run_id: UUID) -> list[Alarm]:
    """A run that ended badly, by Prefect's own word; nothing for one that did not."""
    async with PrefectApi(at.places) as prefect:
        run = await prefect.run(run_id)
        if run is None or run.state not in BAD_ENDS:
            return []
        names = {one.id: one.name for one in await prefect.deployments()}
    deployment = names.get(run.deployment_id, "a run without a deployment") if run.deployment_id else "a run"
    return [rules.of_run(deployment, run.state, run.name, run.page)]


@dataclass(frozen=True)
class Tried:
    """A channel that somebody wants to be tried, and the word for it."""

    channel: str
    alarm: Alarm


async def of_request(at: Connections, request_id: UUID, flow_run_id: UUID) -> Tried | None:
    """What a run was asked for; None where that is no channel."""
    async with at.transaction() as session:
        wanted = await run_requests.take(session, request_id, "notify-operators", flow_run_id)
    channel = wanted.arguments.get("channel")
    return Tried(str(channel), rules.of_test(str(channel), request_id)) if channel else None


class Lookout:
    """Follows what is wrong, and has Prefect start the run that tells it, through an event."""

    def __init__(self, at: Connections) -> None:
        self._at = at
        self._said_at = float("-inf")

    async def work(self, ended: asyncio.Event) -> None:
        """Look until told to stop; alarms must never end the sealing beside them."""
        async with PrefectApi(self._at.places) as prefect:
            while not ended.is_set():
                try:
                    await self._look(prefect)
                except (PrefectError, *PASSING) as error:
                    log.warning("alarms were not looked for: %s", type(error).__name__)
                except Exception:
                    log.exception("looking for alarms failed")
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), self._at.places.settings.notifications.look_seconds)

    async def _look(self, prefect: PrefectApi) -> None:
        if time.monotonic() - self._said_at < PATIENCE_SECONDS:
            return
        async with self._at.transaction() as session:
            channels = await store.list_channels(session)
            left_over = await store.are_left_over(session)
        if not channels:
            return
        untold = await notifications.untold(self._at, await look(self._at))
        if untold or left_over:
            await prefect.emit([_event([alarm.key for _, alarm in untold])])
            self._said_at = time.monotonic()


def _event(keys: Sequence[str]) -> Mapping[str, Any]:
    return {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": EVENT,
        "resource": {"prefect.resource.id": RESOURCE, "prefect.resource.name": "alarms"},
        "related": [],
        "payload": {"keys": sorted(set(keys))},
    }
