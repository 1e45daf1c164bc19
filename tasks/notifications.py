"""Telling operators, as the Prefect UI shows it."""

import logging
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from tasks.artifacts import show_notifications
from tasks.connections import Connections
from tasks.domain.alarms import Alarm
from tasks.operations import alarms, notifications
from tasks.store.notifications import DeliveryRow

About = Literal["alarms", "morning", "run"]


class NotToldError(RuntimeError):
    """A channel could not be told after all tries."""


@dataclass(frozen=True)
class Found:
    """What there is to tell, and the one channel that it is for; None is every channel that wants it."""

    alarms: list[Alarm]
    only: str | None = None


@task(persist_result=False, cache_policy=NO_CACHE)
async def find_alarms(about: About, failed_run_id: UUID | None, run_request_id: UUID | None) -> Found:
    """What is wrong by our own tables and Prefect's word, whatever the parameters say."""
    async with Connections.shared("reader") as at:
        if run_request_id is not None:
            tried = await alarms.of_request(at, run_request_id, UUID(str(flow_run.id)))
            if tried is not None:
                return Found([tried.alarm], tried.channel)
        if about == "run":
            return Found(await alarms.of_run(at, failed_run_id) if failed_run_id else [])
        return Found(await (alarms.morning(at) if about == "morning" else alarms.look(at)))


# No retries: each message is written down before it is sent, and tried again by whoever comes next.
@task(retries=0, persist_result=False, cache_policy=NO_CACHE)
async def tell_operators(found: Found) -> list[DeliveryRow]:
    """Tell what was not told lately; the log has a line for each message."""
    async with Connections.shared("reader") as at:
        told = await notifications.tell(at, found.alarms, found.only)
    for one in told:
        level = logging.INFO if one.state == "sent" else logging.ERROR
        get_run_logger().log(
            level, "%s: %s %s after %d tries. %s", one.channel, one.about, one.state, one.tries, one.problem or ""
        )
    if not told:
        get_run_logger().info("Nothing new to tell, of %d alarms", len(found.alarms))
    return told


async def show_told(told: list[DeliveryRow]) -> None:
    """Show the run's page; raises NotToldError where a message did not arrive."""
    await show_notifications(told)
    failed = [one.channel for one in told if one.state != "sent"]
    if failed:
        raise NotToldError(f"{', '.join(sorted(set(failed)))} could not be told: see `vivesphere notify log`")
