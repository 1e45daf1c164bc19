"""Rollups of metrics: made step by step from what was written since, and anew at will."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from tasks.connections import Connections
from tasks.domain.retention import first_kept
from tasks.domain.roles import Actor
from tasks.operations.bots import NoSuchBotError
from tasks.store import base, bots, rollups
from tasks.store.rollups import Gained, Span

# Hours of bots whose notes one transaction takes.
STEP = 10_000


async def roll_up(at: Connections) -> int:
    """Roll up every hour of which something was written; answers how many hours of bots were made anew."""
    hours = 0
    while True:
        async with at.transaction() as session:
            await rollups.lock(session)
            taken = await rollups.take_changes(session, STEP)
            if not taken:
                return hours
            wanted = await rollups.touched(session, taken)
            await rollups.write(session, wanted)
        hours += len(wanted.bot_ids)


async def begin_anew(at: Connections) -> int:
    """Have every hour of the months whose snapshots are kept rolled up again; older hours stay as they are.

    Answers how many hours of bots that are.
    """
    async with at.transaction() as session:
        now = await base.now(session)
        kept = first_kept(now, timedelta(days=at.places.settings.metrics.snapshot_days))
        return await rollups.mark(session, datetime.combine(kept, time(), UTC), now + timedelta(days=1))


async def of_bot(
    at: Connections, handle: str, by: Span, since: datetime | None, until: datetime | None, actor: Actor
) -> Sequence[Gained]:
    """What a bot gained hour by hour or day by day (UTC), oldest first: of the last week or the last three months where
    nothing is said. Raises NoSuchBotError."""
    async with at.transaction() as session:
        bot = (await bots.by_handles(session, [handle], actor.within("metrics.read"))).get(handle.lower())
        if bot is None:
            raise NoSuchBotError(handle)
        end = until or await base.now(session)
        start = since or end - timedelta(days=7 if by == "hour" else 90)
        return await rollups.of_bot(session, bot.id, by, start, end)
