"""Results of posts: how each stood when it was a day old."""

from datetime import UTC, datetime, time, timedelta

from tasks.connections import Connections
from tasks.domain.retention import first_kept
from tasks.store import base, post_results

# A post is judged by its first day; the last reading of it may come late.
OLD_ENOUGH = timedelta(hours=25)
# So long is looked for posts without a result: readings that fail are made good within hours.
LOOKED_FOR = timedelta(days=4)


async def settle(at: Connections) -> int:
    """Write down how posts stood after a day that have no result yet; answers how many."""
    async with at.transaction() as session:
        until = await base.now(session) - OLD_ENOUGH
        return await post_results.settle(session, until - LOOKED_FOR, until)


async def settle_anew(at: Connections) -> int:
    """Write all results anew whose snapshots are kept; answers how many. A month is a transaction."""
    kept = timedelta(days=at.places.settings.metrics.snapshot_days)
    async with at.transaction() as session:
        until = await base.now(session) - OLD_ENOUGH
    since = datetime.combine(first_kept(until, kept), time(), UTC)
    written = 0
    while since < until:
        end = min(until, (since.replace(day=1) + timedelta(days=32)).replace(day=1))
        async with at.transaction() as session:
            written += await post_results.settle(session, since, end, anew=True)
        since = end
    return written
