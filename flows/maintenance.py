"""Upkeep."""

from prefect import flow

from tasks.maintenance import erase_what_is_gone, keep_months


@flow(name="maintain-tables", persist_result=False)
async def maintain_tables() -> None:
    """Make monthly tables ahead of time, and drop those that are kept no longer.

    How long snapshots, hourly and daily rollups are kept say the settings `metrics.snapshot_days`, `hourly_days` and
    `rollup_days`. A month is dropped as a whole, in milliseconds. Starting a run by hand does no harm.
    """
    await keep_months()


@flow(name="honour-deletions", persist_result=False)
async def honour_deletions() -> None:
    """Erase what X said of posts that were deleted, suspended or protected, within 24 hours.

    The text of a post that was deleted on X goes, too; when it was published and by which decision stays. What was
    erased stands in the audit. Starting a run by hand does no harm.
    """
    await erase_what_is_gone()
