"""Credentials as the Prefect UI shows them."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from tasks.artifacts import show_refreshes, show_rotation
from tasks.connections import Connections
from tasks.operations.rotation import database_logins, recipe, x_user_tokens
from tasks.operations.rotation.recipe import Done, Found
from tasks.operations.rotation.recipe import Due as RotationDue
from tasks.operations.rotation.x_user_tokens import Due, Rotated
from tasks.operations.token_refresh import State

LEVELS: Mapping[State, int] = {
    "fresh": logging.INFO,
    "refreshed": logging.INFO,
    "waiting": logging.WARNING,
    "conflict": logging.ERROR,
    "needs_login": logging.ERROR,
}


ROTATION_LEVELS: Mapping[Found, int] = {
    "rotated": logging.INFO,
    "removed": logging.INFO,
    "abandoned": logging.WARNING,
    "waiting": logging.INFO,
    "person": logging.WARNING,
    "failed": logging.ERROR,
}


class RotationFailedError(RuntimeError):
    """A new version did not pass its test; nothing after it in the plan was touched."""


def rotation_run_name() -> str:
    """What a run is called in Prefect's lists: when it looked."""
    return f"credentials at {flow_run.scheduled_start_time:%H:%M} UTC"


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
    await show_refreshes(found)


@task(persist_result=False, cache_policy=NO_CACHE)
async def renew_leases() -> None:
    """Renew what the vault lends out for a time."""
    async with Connections.shared("keys") as at:
        renewed = await database_logins.renew(at)
    get_run_logger().info("%d leases renewed", renewed)


@task(persist_result=False, cache_policy=NO_CACHE)
async def find_due_rotations() -> list[RotationDue]:
    """Credentials of every kind that have reached their age, are on their way, or whose grace is over."""
    async with Connections.shared("keys") as at:
        due = await recipe.due(at)
    get_run_logger().info("%d credentials to rotate", len(due))
    return due


# No retries: each step that was taken stands in Postgres, and the next run goes on from there (C2).
@task(retries=0, persist_result=False, cache_policy=NO_CACHE)
async def rotate(due: Sequence[RotationDue]) -> list[Done]:
    """Create, set, test, finish, or remove after the grace; one after the other, and the first failed test stops."""
    async with Connections.shared("keys") as at:
        done = await recipe.rotate(at, due)
    for one in done:
        get_run_logger().log(ROTATION_LEVELS[one.found], "%s %s %s: %s", one.kind, one.subject, one.found, one.said)
    return done


async def show_rotated(done: Sequence[Done]) -> None:
    """Show the run's page; raises RotationFailedError where a test failed, so that the run is seen to have failed."""
    await show_rotation(done)
    failed = [one for one in done if one.found == "failed"]
    if failed:
        raise RotationFailedError(f"{failed[0].kind} {failed[0].subject}: {failed[0].said}")
