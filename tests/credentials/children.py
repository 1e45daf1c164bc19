"""Refreshers in processes of their own, forked by a server that has imported everything."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.context import ForkServerProcess
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from uuid import UUID

from blocks.vault.errors import VaultError
from tasks.operations.credentials import fresh_token
from tasks.operations.patience import PASSING
from tests.credentials.points import World, nothing, refresher
from tests.running_stack import eventually

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])
PATIENCE_SECONDS = 60.0

Answers = "SimpleQueue[list[tuple[str, bool]]]"


def killed_at(world: World, bot_ids: Sequence[UUID], point: str, at_once: int = 4) -> list[int | None]:
    """A refresher for each bot, killed by kill -9 as it passes `point`; exit codes, -9 where it got there."""
    codes: list[int | None] = []
    for first in range(0, len(bot_ids), at_once):
        children = [_start(_die_at, world, bot_id, point) for bot_id in bot_ids[first : first + at_once]]
        for child in children:
            child.join(PATIENCE_SECONDS)
            codes.append(child.exitcode)
            child.kill()
    return codes


def killed_while_away(
    world: World,
    bot_ids: Sequence[UUID],
    point: str,
    take_away: Callable[[], None],
    bring_back: Callable[[], None],
    at_once: int = 4,
) -> list[int | None]:
    """As `killed_at`, and a part of the stack is gone by the time of the kill, and back before the next ones start."""
    codes: list[int | None] = []
    for first in range(0, len(bot_ids), at_once):
        children = [stopped_at(world, bot_id, point) for bot_id in bot_ids[first : first + at_once]]
        for child in children:
            eventually(partial(stands_still, child.pid), PATIENCE_SECONDS)
        take_away()
        try:
            for child in children:
                child.kill()
                child.join(PATIENCE_SECONDS)
                codes.append(child.exitcode)
        finally:
            bring_back()
    return codes


def stands_still(pid: int | None) -> bool:
    """Whether a process was stopped by SIGSTOP."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def stopped_at(world: World, bot_id: UUID, point: str) -> ForkServerProcess:
    """A refresher that stands still by SIGSTOP once it has passed `point`."""
    return _start(_stand_still_at, world, bot_id, point)


def all_at_once(world: World, bot_id: UUID, processes: int, callers: int) -> list[tuple[str, bool]]:
    """State, and whether there was a token, of every caller: `callers` in each of so many processes, at one instant."""
    start = FORKS.Barrier(processes)
    answers = FORKS.SimpleQueue()
    children = [_start(_many, world, bot_id, callers, start, answers) for _ in range(processes)]
    found = [answer for _ in children for answer in answers.get()]
    for child in children:
        child.join(PATIENCE_SECONDS)
    return found


def _start(target: object, *arguments: object) -> ForkServerProcess:
    child = FORKS.Process(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
    child.start()
    return child


def _die_at(world: World, bot_id: UUID, point: str) -> None:
    asyncio.run(_one(world, bot_id, point, partial(os.kill, os.getpid(), signal.SIGKILL)))


def _stand_still_at(world: World, bot_id: UUID, point: str) -> None:
    asyncio.run(_one(world, bot_id, point, partial(os.kill, os.getpid(), signal.SIGSTOP)))


async def _one(world: World, bot_id: UUID, point: str, act: "partial[None]") -> None:
    left = [point]

    def reached(now: str) -> None:
        if now in left:
            left.remove(now)
            act()

    async with refresher(world, reached) as at:
        try:
            await fresh_token(at, bot_id)
        except PASSING as error:
            print(type(error).__name__, isinstance(error, VaultError))


def _many(world: World, bot_id: UUID, callers: int, start: Barrier, answers: "SimpleQueue[object]") -> None:
    async def run() -> list[tuple[str, bool]]:
        async with refresher(world, nothing) as at:
            start.wait(PATIENCE_SECONDS)
            found = await asyncio.gather(*(fresh_token(at, bot_id) for _ in range(callers)))
            return [(one.state, one.token is not None) for one in found]

    answers.put(asyncio.run(run()))
