"""The vault's key that wraps the keys of bot records: a new version wraps at once, what older ones wrapped is wrapped
again, and at the end no older one opens anything.

Nobody here sees a record, nor a key: the vault opens and wraps on its own side. Which version wraps a record is written
on it, so whoever comes after a kill sees what is left.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from blocks.vault.transit import Sealed
from config.settings import DataKeys as DataKeysSettings
from config.settings import Rotation as RotationSettings
from tasks.connections import Connections
from tasks.operations.bot_records import TRANSIT_KEY
from tasks.operations.patience import ticks
from tasks.operations.rotation.kind import Facts, NotYet, Subject, TestFailedError
from tasks.store import bot_records, rotations
from tasks.store.bot_records import WrappedKey
from tasks.store.rotations import Version


class DataKeys:
    """The recipe's steps for the key of bot records."""

    name = "data_keys"

    def rules(self, settings: RotationSettings) -> DataKeysSettings:
        """Its section of the settings."""
        return settings.data_keys

    async def subjects(self, at: Connections) -> Sequence[Subject]:
        """The one key there is."""
        found = await asyncio.to_thread(at.transit.versions, TRANSIT_KEY)
        since = datetime.fromtimestamp(found.made_at, UTC)
        return [Subject(TRANSIT_KEY, since, "reading and writing encrypted data of bots", {"transit": found.latest})]

    async def create(self, at: Connections, version: Version) -> Facts:
        """Let the vault make the next version, unless it did before we were cut off; it wraps new records."""
        async with at.transaction() as session:
            current = await rotations.current(session, self.name, version.subject)
        found = await asyncio.to_thread(at.transit.versions, TRANSIT_KEY)
        if current is not None and found.latest <= current.facts["transit"]:
            await asyncio.to_thread(at.transit.rotate, TRANSIT_KEY)
            found = await asyncio.to_thread(at.transit.versions, TRANSIT_KEY)
        return {"transit": found.latest}

    async def set(self, at: Connections, version: Version) -> Facts:
        """Wrap again what older versions wrap, as much as fits into one run."""
        return await self._wrap_all(at, version.facts["transit"], version.facts.get("wrapped", 0))

    async def test(self, at: Connections, version: Version) -> None:
        """See that nothing is left on an older version; what the vault could not wrap again is damaged."""
        async with at.transaction() as session:
            left = await bot_records.wrapped_before(session, version.facts["transit"], None, 1)
        if left:
            raise TestFailedError(f"the key of record {left[0].id} is wrapped by an older version, and cannot be again")

    async def finish(self, at: Connections, version: Version) -> None:
        """Nothing to move: what is written is wrapped by the newest version since it was made."""

    async def remove(self, at: Connections, version: Version) -> None:
        """Wrap again what was under way when the new version came, then let no older version open anything."""
        if version.state != "previous":
            return
        async with at.transaction() as session:
            current = await rotations.current(session, self.name, version.subject)
        if current is None:
            raise NotYet("no version is in use")
        await self._wrap_all(at, current.facts["transit"], 0)
        await self.test(at, current)
        await asyncio.to_thread(at.transit.raise_minimum, TRANSIT_KEY, current.facts["transit"])

    async def _wrap_all(self, at: Connections, transit: int, wrapped: int) -> Facts:
        """Batches side by side, and the next is read meanwhile; raises NotYet once this run's time is over."""
        wanted = self.rules(at.places.settings.rotation)
        began, done = ticks(), 0
        reading = asyncio.create_task(_left(at, transit, None, wanted.batch))
        under_way: deque[asyncio.Task[None]] = deque()
        try:
            while batch := await reading:
                reading = asyncio.create_task(_left(at, transit, UUID(batch[-1].id), wanted.batch))
                if len(under_way) == wanted.lanes:
                    await under_way.popleft()
                under_way.append(asyncio.create_task(_wrap(at, batch)))
                done += len(batch)
                if ticks() - began > wanted.run_seconds:
                    await asyncio.gather(*under_way)
                    noted = {"wrapped": wrapped + done}
                    raise NotYet(f"{wrapped + done} records are wrapped again, the next run goes on", noted)
                await asyncio.sleep(max(0.0, 60 * done / wanted.records_per_minute - (ticks() - began)))
            await asyncio.gather(*under_way)
        finally:
            for task in (reading, *under_way):
                task.cancel()
            await asyncio.gather(reading, *under_way, return_exceptions=True)
        return {"wrapped": wrapped + done}


async def _wrap(at: Connections, batch: Sequence[WrappedKey]) -> None:
    new = await asyncio.to_thread(
        at.transit.rewrap, TRANSIT_KEY, [Sealed(key.bot_id, key.wrapped_key) for key in batch]
    )
    # None is damaged, and stays as it is: the test finds it.
    good = [(key, text.text) for key, text in zip(batch, new, strict=True) if text is not None]
    async with at.transaction() as session:
        await bot_records.wrap_again(session, [key for key, _ in good], [text for _, text in good])


async def _left(at: Connections, transit: int, after: UUID | None, limit: int) -> Sequence[WrappedKey]:
    async with at.transaction() as session:
        return await bot_records.wrapped_before(session, transit, after, limit)
