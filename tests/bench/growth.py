"""Growth: what a post costs, and what a sending run holds in memory, as the fleet grows from 10 to 10,000 bots."""

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

from sqlalchemy import text

from config.places import Places
from tasks.connections import Connections, open_connections
from tests.bench import fleet, limits
from tests.bench.figure import Figure

SMALL, LARGE = 10, 10_000
LATENCY_MS = 50
IN_FLIGHT = 50
# With the round that warms up, ten bots use their window of 100 posts in 15 minutes to the last place.
ROUND_POSTS, ROUNDS = 200, 4
AHEAD_SECONDS = 5.0
# The large fleet then speaks with all its bots, so that the run holds the token of each.
ALL_SPEAK_SECONDS = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """Medians over the rounds; `cpu_ms` and `wall_ms` are for one post, `over_bare` is the time over aiohttp's."""

    cpu_ms: float
    wall_ms: float
    over_bare: float
    memory_mb: float


def posting_cost_10_to_10000_bots() -> list[Figure]:
    """The same number of posts by a fleet of 10 bots and by one of 10,000, each on a stack of its own."""
    small, large = _cost(SMALL), _cost(LARGE)
    return [
        Figure(
            "posting_cost_10_to_10000_bots",
            large.cpu_ms,
            small.cpu_ms,
            "ms",
            "ratio <= 1.2",
            {
                f"to the last outcome, {LARGE:,} bots": large.wall_ms,
                f"to the last outcome, {SMALL} bots": small.wall_ms,
            },
            f"CPU time of the sending run and of the database for one post, from scheduling to outcome; {ROUND_POSTS}"
            f" posts due at one instant, {ROUNDS} rounds each. The limit is the same with {SMALL} bots, which write"
            f" {ROUND_POSTS // SMALL} each; of {LARGE:,} each writes one, and its token is read from the vault first."
            f" {LATENCY_MS} ms at X, {IN_FLIGHT} in flight. Time over a bare aiohttp script that sends as many in the"
            f" same minute: {small.over_bare:.2f} with {SMALL} bots, {large.over_bare:.2f} with {LARGE:,}."
            f" {fleet.load()}",
        ),
        Figure(
            "memory_of_a_run_10000_bots",
            large.memory_mb,
            None,
            "MB",
            "<= 300",
            {f"{SMALL} bots": small.memory_mb},
            f"Most that a sending run held (VmHWM), after each of {LARGE:,} bots wrote a post within"
            f" {ALL_SPEAK_SECONDS:g} s. {fleet.load()}",
        ),
    ]


def _cost(bots: int) -> Cost:
    with fleet.running_stack(POSTING__LANES=IN_FLIGHT, POSTING__WINDOW_SECONDS=5) as places:
        return asyncio.run(_measure(places, bots))


async def _measure(places: Places, count: int) -> Cost:
    async with open_connections("keys", places) as at:
        bots = await fleet.settle(at, count, LATENCY_MS)
        await fleet.one_sender(at)
        await _round(at, bots, 0)  # opens every lane and every connection
        cpu, wall, over = [], [], []
        for number in range(1, ROUNDS + 1):
            tokens = [bots.tokens[(number * ROUND_POSTS + place) % count] for place in range(ROUND_POSTS)]
            bare = await limits.bare_aiohttp(places.x, tokens, IN_FLIGHT)
            used, seconds = await _round(at, bots, number)
            cpu.append(used * 1000 / ROUND_POSTS)
            wall.append(seconds * 1000 / ROUND_POSTS)
            over.append(seconds / bare)
        if count > ROUND_POSTS:
            await _all_speak(at, bots)
        return Cost(median(cpu), median(wall), median(over), _most_memory_mb(await _sender(at)))


async def _round(at: Connections, bots: fleet.Fleet, number: int) -> tuple[float, float]:
    """Seconds of CPU that a round of posts took, and seconds from its instant to the last outcome."""
    speakers = [bots.bots[(number * ROUND_POSTS + place) % len(bots.bots)] for place in range(ROUND_POSTS)]
    before = await _cpu_seconds(at)
    due_at = await fleet.now(at) + timedelta(seconds=AHEAD_SECONDS)
    await fleet.schedule(at, speakers, [due_at] * ROUND_POSTS)
    seconds = await fleet.seconds_until_published(at, due_at)
    after = await _cpu_seconds(at)
    return sum(after[pid] - before[pid] for pid in before.keys() & after.keys()), seconds


async def _all_speak(at: Connections, bots: fleet.Fleet) -> None:
    first = await fleet.now(at) + timedelta(seconds=AHEAD_SECONDS)
    step = timedelta(seconds=ALL_SPEAK_SECONDS / len(bots.bots))
    instants = [first + place * step for place in range(len(bots.bots))]
    await fleet.schedule(at, bots.bots, instants)
    await fleet.seconds_until_published(at, instants[-1])


async def _sender(at: Connections) -> int:
    return int(await fleet.number(at, "SELECT pid FROM senders WHERE closed_at IS NULL AND died_at IS NULL"))


async def _cpu_seconds(at: Connections) -> dict[int, float]:
    """CPU time so far of the run and of each session that it has in our database, by process."""
    async with at.transaction() as session:
        rows = await session.execute(
            text("SELECT pid FROM pg_stat_activity WHERE application_name = 'vivesphere poster'")
        )
        processes = [await _sender(at), *(row.pid for row in rows)]
    return {pid: seconds for pid in processes if (seconds := _process_seconds(pid)) is not None}


def _process_seconds(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    return (int(fields[11]) + int(fields[12])) / TICKS


def _most_memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1000
