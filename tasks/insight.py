"""What is learnt from results, as the Prefect UI shows it. Whoever learns loads pandas: no other run has to."""

from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from tasks.artifacts import show_report
from tasks.connections import Connections
from tasks.domain.insight import ADVICE
from tasks.operations import learning, reporting
from tasks.operations.post_results import settle


@task(retries=2, retry_delay_seconds=30, persist_result=False, cache_policy=NO_CACHE)
async def settle_results() -> None:
    """Write down how posts stood when they were a day old."""
    async with Connections.shared("poster") as at:
        written = await settle(at)
    get_run_logger().info("%d posts are a day old now", written)


@task(retries=2, retry_delay_seconds=30, persist_result=False, cache_policy=NO_CACHE)
async def learn_best_times() -> None:
    """Learn what each hour of the week is worth to each persona."""
    async with Connections.shared("poster") as at:
        personas = await learning.learn_times(at)
    get_run_logger().info("best times of %d personas", personas)


@task(retries=2, retry_delay_seconds=30, persist_result=False, cache_policy=NO_CACHE)
async def review_bots() -> None:
    """Find out how each bot does, and name those that do far worse than they used to."""
    async with Connections.shared("poster") as at:
        found = await learning.review_bots(at)
    logger = get_run_logger()
    for one in found:
        if one.verdict in ("below", "limited"):
            logger.warning(
                "@%s has %.0f %% of its usual views: %s", one.bot, 100 * (one.share or 0), ADVICE[one.verdict]
            )
    logger.info("%d bots reviewed", len(found))


@task(persist_result=False, cache_policy=NO_CACHE)
async def make_report(run_request_id: UUID | None) -> None:
    """Make the report that was asked for, and show it on the run's page."""
    async with Connections.shared("poster") as at:
        made = await reporting.make(at, run_request_id, UUID(str(flow_run.id)))
    get_run_logger().info("%s: report %s", made.title, made.id)
    await show_report(made.summary)
