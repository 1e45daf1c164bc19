"""Metrics."""

from prefect import flow

from tasks.metrics import (
    collecting_run_name,
    mark_hours,
    plan_readings,
    read_accounts,
    read_posts,
    roll_up,
    show_readings,
)


@flow(name="collect-metrics", flow_run_name=collecting_run_name, persist_result=False)
async def collect_metrics() -> None:
    """Read from X what posts and accounts achieved.

    A post is read every quarter of an hour at first, then each hour, then each day, then no more (settings under
    `metrics`). X charges for a thing once in a UTC day: what today's money does not pay waits for tomorrow, and the
    youngest posts are read first. Starting a run by hand does no harm: what is not due is not read, and what is read
    twice is the same snapshot. The table on this page says what was read of each app's bots and what waits; posts that
    X no longer has are marked, and erased by honour-deletions. What a run would cost, `vivesphere metrics collect
    --dry-run` says.
    """
    plan = await plan_readings()
    accounts = await read_accounts()
    posts = await read_posts()
    hours = await roll_up()
    await show_readings(plan, accounts, posts, hours)


@flow(name="rebuild-metrics", persist_result=False)
async def rebuild_metrics() -> None:
    """Make the hourly and daily rollups, and the results of posts, anew from the snapshots that are kept.

    Nothing is asked of X. Hours of months whose snapshots were dropped stay as they are. Safe to start at any time, and
    to start again after a crash; collection goes on meanwhile.
    """
    await mark_hours()
    await roll_up()
