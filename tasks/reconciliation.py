"""Posts whose answer was lost, as the Prefect UI shows them."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from tasks.artifacts import show_reviewed
from tasks.connections import Connections
from tasks.operations import reconciliation
from tasks.operations.reconciliation import Reviewed


def reconciling_run_name() -> str:
    """What a run is called in Prefect's lists: when it began to look."""
    return f"looking from {flow_run.scheduled_start_time:%H:%M:%S} UTC"


# No retries: each look and each decision stands in the database, and the next run goes on from there.
@task(retries=0, persist_result=False, cache_policy=NO_CACHE, tags=["x-read"], task_run_name="read timelines")
async def look_for_unknown_posts(window_seconds: float | None) -> Sequence[Reviewed]:
    """Read the timelines of accounts with posts in doubt, as often as looks fall due; what was seen of each."""
    found: list[Reviewed] = []
    async with Connections.shared("poster") as at:
        async for reviewed in reconciliation.reconcile(at, window_seconds):
            _tell(reviewed)
            found += reviewed
    return found


async def show_reconciled(found: Sequence[Reviewed]) -> None:
    """Sum the run up: where each post stands after its last look."""
    newest = {one.post_id: one for one in found}
    await show_reviewed(list(newest.values()))


def _tell(reviewed: Sequence[Reviewed]) -> None:
    logger = get_run_logger()
    for one in reviewed:
        line = f"@{one.handle} {one.verdict}: post {one.post_id}: {one.reason}"
        if one.verdict == "held" or one.seen == "unreadable":
            logger.error(line)
        elif one.verdict == "wait":
            logger.info(line)
        else:
            logger.warning(line)
