"""The clerk: looks every second for attempts and posts whose time has passed, and says so in their state; judges anew
what waits under a new policy; seals the audit twice a second; tells Prefect's feed what was noted, and when something
is wrong. For the audit it has a database role of its own, which reaches nothing else."""

import asyncio
import logging
import signal
from contextlib import suppress

from config import logs
from config.loading import settings
from config.places import Places
from tasks.connections import SEALER_LOGIN_PATH, Connections, open_connections
from tasks.operations import delivery, governor, rejudging, stops
from tasks.operations.alarms import Lookout
from tasks.operations.announcing import Announcer
from tasks.operations.gate import PolicyError
from tasks.operations.patience import PASSING
from tasks.operations.sealing import Sealer

log = logging.getLogger("vivesphere.debug")

LOOK_SECONDS = 1.0
# Under a new policy what waits is judged a batch at a time, then somebody looks now and then.
REJUDGE_SECONDS, REJUDGED_SECONDS = 1.0, 60.0


async def main() -> None:
    """Sweep and seal until SIGTERM; a database or vault that is away is waited for."""
    places = Places(settings())
    logs.configure("clerk", places)
    ended = asyncio.Event()
    for how in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(how, ended.set)
    async with (
        open_connections("sealer", places) as at,
        open_connections("sealer", places, SEALER_LOGIN_PATH) as at_audit,
        at.following(at_audit),
        asyncio.TaskGroup() as work,
    ):
        work.create_task(_sweep(at, ended))
        work.create_task(_rejudge(at, ended))
        work.create_task(Sealer(at_audit).work(ended))
        work.create_task(Announcer(at).work(ended))
        work.create_task(Lookout(at).work(ended))


async def _sweep(at: Connections, ended: asyncio.Event) -> None:
    while not ended.is_set():
        await _look(at)
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), LOOK_SECONDS)


async def _rejudge(at: Connections, ended: asyncio.Event) -> None:
    while not ended.is_set():
        pause = REJUDGED_SECONDS
        try:
            found = await rejudging.look_over(at)
        except (*PASSING, PolicyError) as error:
            log.warning("nothing was judged anew: %s", error)
        else:
            if found.ended:
                log.warning("%d posts do not go out as they were to: the policy has changed", found.ended)
            if found.printed or found.judged:
                pause = REJUDGE_SECONDS
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), pause)


async def _look(at: Connections) -> None:
    try:
        swept = await delivery.sweep(at)
        await stops.say_silence(at)
        await governor.forget(at)
    except PASSING as error:
        log.warning("nothing was swept: %s", error)
        return
    for post_id in swept.unknown:
        log.warning("post %s is unknown: its sender ended before it wrote down an answer", post_id)
    for post_id in swept.broken:
        log.warning("post %s is held: the part of its thread before it did not go out", post_id)
    for post_id in swept.expired:
        log.warning("post %s expired: it was too late to be sent", post_id)


if __name__ == "__main__":
    asyncio.run(main())
