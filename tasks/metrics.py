"""Metrics as the Prefect UI shows them."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from tasks.artifacts import show_collected
from tasks.connections import Connections
from tasks.operations import account_metrics, metric_plan, post_metrics, post_results, rollups
from tasks.operations.metric_batches import Collected
from tasks.operations.metric_plan import Plan


def collecting_run_name() -> str:
    """What a run is called in Prefect's lists: when it looked."""
    return f"metrics at {flow_run.scheduled_start_time:%H:%M} UTC"


@task(persist_result=False, cache_policy=NO_CACHE)
async def plan_readings() -> Plan:
    """What is due, and what of it today's money pays; the rest waits for X's next day."""
    async with Connections.shared("poster") as at:
        plan = await metric_plan.prepare(at)
    for app in plan.apps:
        get_run_logger().info(
            "%s: %d accounts and %d posts by at most %d requests for %s USD; %d wait for money",
            app.app or "bots without an app",
            app.accounts,
            app.posts,
            app.calls,
            app.usd,
            app.put_off,
        )
    return plan


# No retries of either: what was not read stays due, and what was read twice is the same snapshot.
@task(retries=0, persist_result=False, cache_policy=NO_CACHE, tags=["x-read"], task_run_name="read accounts")
async def read_accounts() -> Collected:
    """Read the accounts that are due: their state explains why posts are missing."""
    async with Connections.shared("poster") as at:
        return _told(await account_metrics.collect(at))


@task(retries=0, persist_result=False, cache_policy=NO_CACHE, tags=["x-read"], task_run_name="read posts")
async def read_posts() -> Collected:
    """Read the posts that are due, a hundred at a time."""
    async with Connections.shared("poster") as at:
        return _told(await post_metrics.collect(at))


@task(persist_result=False, cache_policy=NO_CACHE)
async def roll_up() -> int:
    """Bring the rollups up to what was written; answers how many hours of bots were made anew."""
    async with Connections.shared("poster") as at:
        return await rollups.roll_up(at)


@task(persist_result=False, cache_policy=NO_CACHE)
async def mark_hours() -> int:
    """Write the results of posts anew whose snapshots are kept, and have every hour of them rolled up again."""
    async with Connections.shared("poster") as at:
        hours = await rollups.begin_anew(at)
        posts = await post_results.settle_anew(at)
    get_run_logger().info("%d hours of bots are rolled up again; %d results of posts were written anew", hours, posts)
    return hours


async def show_readings(plan: Plan, accounts: Collected, posts: Collected, hours: int) -> None:
    """Sum the run up on its page, if there was anything to do."""
    total = Collected()
    total.add(accounts)
    total.add(posts)
    if plan.apps:
        await show_collected(plan, total, hours)


def _told(done: Collected) -> Collected:
    logger = get_run_logger()
    logger.info("%d snapshots by %d requests; X charges for %d", done.snapshots, done.calls, done.billed)
    for fate, number in done.gone.items():
        logger.warning("%d posts are %s on X; what X said of them is erased here within a day", number, fate)
    for reason, number in done.waiting.items():
        logger.warning("%d were not read: %s", number, reason)
    return done
