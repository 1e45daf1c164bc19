"""Credentials as the Prefect UI shows them."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from tasks.artifacts import show_rotation
from tasks.connections import Connections
from tasks.operations.rotation import x_user_tokens
from tasks.operations.rotation.x_user_tokens import Due, Rotated
from tasks.operations.token_refresh import State

LEVELS: Mapping[State, int] = {
    "fresh": logging.INFO,
    "refreshed": logging.INFO,
    "waiting": logging.WARNING,
    "conflict": logging.ERROR,
    "needs_login": logging.ERROR,
}


def rotation_run_name() -> str:
    """What a run is called in Prefect's lists: when it looked."""
    return f"tokens at {flow_run.scheduled_start_time:%H:%M} UTC"


@task(persist_result=False, cache_policy=NO_CACHE)
async def find_due_tokens() -> list[Due]:
    """Bots whose tokens fall due, or for which an earlier refresh left something to do."""
    async with Connections.shared("keys") as at:
        due = await x_user_tokens.due(at)
    get_run_logger().info("%d tokens to look at", len(due))
    return due


# No retries: a refresh token is good for one use; what was not sent is tried again by the next run (C3).
@task(retries=0, persist_result=False, cache_policy=NO_CACHE, tags=["x-sign-in"])
async def refresh_tokens(due: Sequence[Due]) -> list[Rotated]:
    """Refresh tokens side by side; the log has a line for each bot."""
    async with Connections.shared("keys") as at:
        found = await x_user_tokens.refresh(at, due)
    for one in found:
        get_run_logger().log(LEVELS[one.state], "@%s %s: %s", one.handle, one.state, one.said)
    return found


async def show_refreshed(found: Sequence[Rotated]) -> None:
    """Sum the run up, in its log and on its page."""
    counted = Counter(one.state for one in found)
    get_run_logger().info("This run: %s", ", ".join(f"{number} {state}" for state, number in counted.most_common()))
    await show_rotation(found)
