"""Content as the Prefect UI shows it."""

from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from tasks.artifacts import show_calendar, show_feeds
from tasks.connections import Connections
from tasks.operations import feeds, planning


# No retries: what was planned before it broke stays, and the next run fills the rest.
@task(retries=0, persist_result=False, cache_policy=NO_CACHE)
async def plan_content(run_request_id: UUID | None) -> None:
    """Fill free turns from templates and evergreen texts, and show the calendar and its price."""
    async with Connections.shared("poster") as at:
        calendar = await planning.serve(at, run_request_id, UUID(str(flow_run.id)))
    logger = get_run_logger()
    for note in calendar.notes:
        logger.warning("%s", note)
    logger.info("%d posts planned for %s USD", len(calendar.entries), calendar.usd)
    await show_calendar(calendar)


# No retries: the next run reads again, and what was made of entries stays.
@task(retries=0, persist_result=False, cache_policy=NO_CACHE)
async def read_all_feeds() -> None:
    """Read every feed, and make drafts of what is new."""
    async with Connections.shared("poster") as at:
        found = await feeds.read_all(at)
    logger = get_run_logger()
    for one in found:
        if one.problem:
            logger.warning("feed %s of @%s: %s", one.feed.name, one.feed.bot, one.problem)
        elif one.planned or one.refused:
            logger.info("feed %s of @%s: %d drafts, refused: %s", one.feed.name, one.feed.bot, one.planned, one.refused)
    await show_feeds(found)
