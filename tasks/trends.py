"""Trends as the Prefect UI shows them."""

import asyncio
from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from blocks.trend_sources.source import SourceClass
from tasks.artifacts import show_rising_trends, show_trend_sources
from tasks.connections import Connections
from tasks.operations import trend_picks, trends
from tasks.operations.trends import Read, Scored
from tasks.reports import rising_trends
from tasks.reports.posting_run import escaped
from tasks.store.trends import Source


@task(persist_result=False, cache_policy=NO_CACHE)
async def take_sources(source_class: SourceClass) -> Sequence[Source]:
    """Sources of a class that are due, or why none is asked."""
    async with Connections.shared("poster") as at:
        due = await trends.take_due(at, source_class)
        if not due and not trends.may_ask(at, source_class):
            get_run_logger().info("Nobody is asked: the setting trend_sources.contact names nobody who answers for it")
    return due


# No retries: a source that failed is due again by its own schedule, and later each time.
@task(retries=0, persist_result=False, cache_policy=NO_CACHE, task_run_name="read {source.name} {source.place}")
async def read_source(source_class: SourceClass, source: Source) -> Read:
    """Read one source and keep what it lists; what goes wrong stands in its health."""
    async with Connections.shared("poster") as at:
        read = await trends.collect(at, source_class, source)
    get_run_logger().info("%s: %s, %d rows. %s", read.source, read.verdict, read.rows, read.reason)
    return read


async def read_sources(source_class: SourceClass, due: Sequence[Source]) -> list[Read]:
    """All of them side by side; one that breaks takes nothing from the others."""
    if not due:
        return []
    # Held open over all of them: what they share keeps them polite.
    async with Connections.shared("poster"):
        found = await asyncio.gather(*(read_source(source_class, one) for one in due), return_exceptions=True)
    read = [one for one in found if isinstance(one, Read)]
    rows: list[dict[str, str | int]] = [
        {"source": one.source, "verdict": one.verdict, "rows": one.rows, "what it said": escaped(one.reason)}
        for one in sorted(read, key=lambda one: (one.verdict == "ok", one.source))
    ]
    await show_trend_sources(rows)
    return read


@task(retries=0, persist_result=False, cache_policy=NO_CACHE)
async def score_trends(read: Sequence[Read]) -> Scored | None:
    """Find out what rises, if anything was read, and tell those who listen."""
    if not any(one.verdict == "ok" for one in read):
        return None
    async with Connections.shared("poster") as at:
        scored = await trends.score(at)
        await trends.announce(at, scored.fresh)
        compared = await trend_picks.compare_new(at)
    get_run_logger().info(
        "%d trends, %d rise, %d since now; %d new ones were given a vector",
        scored.trends,
        len(scored.rising),
        len(scored.fresh),
        compared,
    )
    await show_rising_trends(rising_trends.summary(scored.trends, [trends.line(one) for one in scored.rising]))
    return scored
