"""Bots as the Prefect UI shows them."""

from collections.abc import Sequence
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from tasks.connections import Connections
from tasks.domain.roles import system
from tasks.operations import onboarding


@task(persist_result=False, cache_policy=NO_CACHE)
async def find_waiting_bots(run_request_id: UUID | None) -> list[str]:
    """Handles of the bots that the request names and that need a sign-in."""
    async with Connections.shared("keys") as at:
        handles = await onboarding.waiting(at, run_request_id, UUID(str(flow_run.id)))
    get_run_logger().info("%d bots need a sign-in", len(handles))
    return handles


# No retries: an authorisation code is good for one use, and whatever failed is tried again by the next run.
@task(retries=0, persist_result=False, cache_policy=NO_CACHE, tags=["x-sign-in"])
async def connect_bots(handles: Sequence[str]) -> int:
    """Connect bots side by side; the log has a line for each."""
    async with Connections.shared("keys") as at:
        found = await onboarding.connect(at, handles, system(onboarding.FLOW))
    logger = get_run_logger()
    for one in found:
        (logger.info if one.state == "active" else logger.warning)("@%s %s: %s", one.handle, one.state, one.said)
    return sum(one.state == "active" for one in found)
