"""Upkeep as the Prefect UI shows it."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from tasks.connections import Connections
from tasks.operations import deletions, maintenance, rollups


@task(retries=2, retry_delay_seconds=60, persist_result=False, cache_policy=NO_CACHE)
async def keep_months() -> None:
    """Make the monthly tables that will be needed, drop those that are kept no longer."""
    async with Connections.shared("poster") as at:
        kept = await maintenance.keep_months(at)
    get_run_logger().info("%d months made; dropped: %s", kept.made, ", ".join(kept.dropped) or "none")


@task(retries=2, retry_delay_seconds=60, persist_result=False, cache_policy=NO_CACHE)
async def erase_what_is_gone() -> None:
    """Erase what X said of posts that it has no longer, and count the hours anew that they were part of."""
    async with Connections.shared("poster") as at:
        erased = await deletions.honour(at)
        await rollups.roll_up(at)
    get_run_logger().info("%d posts erased: %d snapshots, %d texts", erased.posts, erased.snapshots, erased.texts)
