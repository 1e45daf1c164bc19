"""Tells operators that a part of the stack is down: `python -m deployments.local.alarm PART SAID`.

Started by the supervisor, in a process of its own: Prefect's automations are dead when its server or the worker is, and
the supervisor itself is to stay small. Without the database each channel is tried once, by what the vault holds alone.
"""

import asyncio
import logging
import sys

from config import logs
from config.loading import settings
from config.places import Places
from tasks.connections import open_connections
from tasks.domain import alarms
from tasks.operations import notifications
from tasks.operations.patience import PASSING

log = logging.getLogger("vivesphere.debug")


async def main(part: str, said: str) -> int:
    """Tell, and answer 1 where a channel could not be told."""
    places = Places(settings())
    logs.configure("alarm", places)
    alarm = alarms.of_part(part, said)
    async with open_connections("reader", places) as at:
        try:
            failed = [one.channel for one in await notifications.tell(at, [alarm]) if one.state != "sent"]
        except PASSING as error:
            log.warning("the alarm about %s goes out without the database: %s", part, type(error).__name__)
            failed = await notifications.tell_without_the_database(at, alarm)
    for line in failed:
        log.error("the alarm about %s did not arrive: %s", part, line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:3])))
