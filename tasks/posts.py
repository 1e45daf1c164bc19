"""Posts as the Prefect UI shows them."""

import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from tasks.artifacts import progress, show_summary
from tasks.connections import Connections
from tasks.operations import delivery, media
from tasks.operations.delivery import Claim, Published, Window
from tasks.operations.outbox import Sent
from tasks.store.media import NeededUpload


def posting_run_name() -> str:
    """What a run is called in Prefect's lists: when it began to serve."""
    return f"posting from {flow_run.scheduled_start_time:%H:%M} UTC"


@asynccontextmanager
async def open_window(window_seconds: float | None) -> AsyncIterator[Window]:
    """A sender at work for the time of one run."""
    # What Prefect's import left on the heap is looked through by every full collection, in the middle of a burst.
    gc.collect()
    gc.freeze()
    async with (
        Connections.shared("poster") as at,
        delivery.open_window(at, window_seconds, flow_run.id, upload_media) as window,
        progress(window),
    ):
        yield window


# No retries: the ledger retries, Prefect must not (P2).
@task(
    retries=0,
    persist_result=False,
    cache_policy=NO_CACHE,
    task_run_name="claim {claim.number}, posts: {claim.posts}",
)
async def publish_claimed(claim: Claim) -> Published:
    """Send the posts held under one lease, each at its due instant."""
    async with Connections.shared("poster") as at:
        published = await delivery.publish(at, claim)
    _tell(published.sent)
    return published


# No retries: what failed is tried again after a pause, as long as its post is not due.
@task(retries=0, persist_result=False, cache_policy=NO_CACHE, task_run_name="media of posts to come")
async def upload_media(wanted: Sequence[NeededUpload]) -> None:
    """Lay pictures and films at X before their posts are due."""
    async with Connections.shared("poster") as at:
        uploaded = await media.upload(at, wanted)
    logger = get_run_logger()
    for one in uploaded:
        what = f"@{one.handle}: media {one.place} of post {one.post_id}, due at {one.planned_at:%H:%M:%S} UTC"
        if one.problem is None:
            logger.info("%s lies at X", what)
        else:
            logger.warning("%s: %s; it is tried again", what, one.problem)


async def show_published(results: Sequence[Published]) -> None:
    """Sum the run up, in its log and on its page."""
    counted = delivery.summary(results)
    said = ", ".join(f"{number} {status}" for status, number in counted.most_common()) or "nothing was due"
    get_run_logger().info("This run: %s", said)
    await show_summary(results)


def _tell(sent: Sequence[Sent]) -> None:
    """A line for each post; what went out as planned stands in one record, as each costs time while others send."""
    logger = get_run_logger()
    published = [one for one in sent if one.status == "published"]
    if published:
        lines = [f"@{one.handle} published {one.x_post_id}, {_late_ms(one)} ms after its instant" for one in published]
        logger.info("\n".join(lines))
    for one in sent:
        if one.status in ("unknown", "held"):
            logger.error("@%s %s: post %s: %s; its timeline will tell", one.handle, one.status, one.post_id, one.reason)
        elif one.status != "published":
            logger.warning("@%s %s: post %s: %s", one.handle, one.status, one.post_id, one.reason)


def _late_ms(sent: Sent) -> int:
    return round((sent.lateness_seconds or 0) * 1000)
