"""Readings of a run: shared out by app and hundred, some at a time, and counted; the same for posts and accounts."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from tasks.connections import Connections
from tasks.domain import sampling as rules
from tasks.domain.sampling import IDS_MOST
from tasks.operations.metric_readings import Reading
from tasks.store.sampling import DueAccount, DuePost

NO_TOKEN = "no bot of its app has a token that serves"  # noqa: S105  # nosec B105
# So many bots of an app are tried until X lets one look.
READERS_TRIED = 5
Due = TypeVar("Due", DuePost, DueAccount)


@dataclass
class Collected:
    """What a run read: requests, snapshots that said something new, things that X charges for; what is gone from X by
    what became of it, and what waits by the reason."""

    calls: int = 0
    snapshots: int = 0
    billed: int = 0
    gone: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Collected") -> None:
        """Put the counts of another one to these."""
        self.calls += other.calls
        self.snapshots += other.snapshots
        self.billed += other.billed
        self.gone += other.gone
        self.waiting += other.waiting


def again_at(at: Connections, reading: Reading, now: datetime) -> datetime:
    """When what was not read is due again; money that is gone until next month may be there sooner."""
    wait = timedelta(seconds=at.places.settings.metrics.lease_seconds)
    return min(reading.retry_at or now + wait, rules.next_utc_day(now))


async def side_by_side(at: Connections, readings: Iterable[Awaitable[Reading]]) -> list[Reading]:
    """Await them, so many at a time as the settings let; in their order."""
    slots = asyncio.Semaphore(at.places.settings.metrics.readers)

    async def one(reading: Awaitable[Reading]) -> Reading:
        async with slots:
            return await reading

    return await asyncio.gather(*map(one, readings))


def by_app(due: Sequence[Due]) -> Mapping[UUID | None, list[Due]]:
    """What is due, by the app that pays for it."""
    found: dict[UUID | None, list[Due]] = defaultdict(list)
    for one in due:
        found[one.x_app_id].append(one)
    return found


def hundreds(due: Sequence[Due]) -> Iterable[Sequence[Due]]:
    """Parts of what one request may ask for."""
    return (due[first : first + IDS_MOST] for first in range(0, len(due), IDS_MOST))
