"""What was noted, told to Prefect's server as events: its feed shows who did what, and automations can react.

A feed, not the audit: told once it is committed, best effort, and nobody waits for it. While Prefect is away, or
before we started, nothing is told; `vivesphere logs` has it all.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid5

from blocks.prefect_api import PrefectApi, PrefectError
from tasks.connections import Connections
from tasks.operations.patience import PASSING
from tasks.store import base, logs
from tasks.store.logs import Line, Place, Wanted

log = logging.getLogger("vivesphere.debug")

LOOK_SECONDS = 1.0
# A line shows once its transaction ends, which may be a while after the instant that it bears.
OVERLAP = timedelta(seconds=30)
LINES_AT_ONCE = 200
# More than this in one look is a flood, of which the feed need not show every drop.
LINES_MAX = 5_000
SUBJECT_CHARACTERS_MAX = 200
# Two that tell the same line tell one event.
NAMESPACE = UUID("6f1f3c5e-6a0e-4d3f-9a63-0d5e3d1c8f4a")


class Announcer:
    """Follows the log and tells Prefect what comes in."""

    def __init__(self, at: Connections) -> None:
        self._at = at
        self._told: dict[tuple[Literal["activity", "audit"], int], datetime] = {}

    async def work(self, ended: asyncio.Event) -> None:
        """Tell until told to stop."""
        since: datetime | None = None
        async with PrefectApi(self._at.places) as prefect:
            while not ended.is_set():
                try:
                    async with self._at.transaction() as session:
                        now = await base.now(session)
                    await self._tell(prefect, max(since or now, now - OVERLAP))
                    since = since or now
                except (PrefectError, OSError, *PASSING) as error:
                    log.debug("Prefect's feed was told nothing: %s", type(error).__name__)
                except Exception:
                    # A feed must never end the sealing beside it.
                    log.exception("telling Prefect's feed failed")
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), LOOK_SECONDS)

    async def _tell(self, prefect: PrefectApi, since: datetime) -> None:
        fresh = await self._fresh(since)
        for start in range(0, len(fresh), LINES_AT_ONCE):
            part = fresh[start : start + LINES_AT_ONCE]
            await prefect.emit([event(line) for line in part])
            self._told |= {(line.origin, line.id): line.at for line in part}
        self._told = {key: at for key, at in self._told.items() if at >= since}

    async def _fresh(self, since: datetime) -> Sequence[Line]:
        """Lines that were not told yet, the oldest first."""
        found: list[Line] = []
        before: Place | None = None
        while len(found) < LINES_MAX:
            async with self._at.transaction() as session:
                lines = await logs.page(session, Wanted(since=since), before, LINES_AT_ONCE)
            found += [line for line in lines if line.category != "debug" and (line.origin, line.id) not in self._told]
            if len(lines) < LINES_AT_ONCE:
                break
            before = lines[-1].place
        return found[::-1]


def event(line: Line) -> Mapping[str, Any]:
    """A line as Prefect's server takes events: by category and ids, without what else it says."""
    kind = line.action.partition(".")[0]
    subject = line.subject[:SUBJECT_CHARACTERS_MAX]
    related = [{"prefect.resource.id": f"vivesphere.actor.{line.actor}", "prefect.resource.role": "actor"}]
    if line.bot_id is not None:
        bot = {"prefect.resource.id": f"vivesphere.bot.{line.bot_id}", "prefect.resource.role": "bot"}
        related.append({**bot, "prefect.resource.name": line.bot or ""})
    return {
        "id": str(uuid5(NAMESPACE, f"{line.origin} {line.id} {line.at.isoformat()}")),
        "occurred": line.at.isoformat(),
        "event": f"vivesphere.{line.category}",
        "resource": {
            "prefect.resource.id": f"vivesphere.{kind}.{subject}",
            "prefect.resource.name": subject,
            "vivesphere.action": line.action,
            "vivesphere.actor": line.actor,
        },
        "related": related,
        "payload": {
            "action": line.action,
            "actor": line.actor,
            "subject": subject,
            "origin": line.origin,
            "id": line.id,
        },
    }
