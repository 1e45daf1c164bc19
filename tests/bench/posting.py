"""Posting: the whole path of a real stack against scripts that only send."""

import asyncio
import json
import subprocess
import sys
from datetime import timedelta
from statistics import median

from config import loading
from config.places import Places
from deployments.local import environment
from tasks.connections import Connections, open_connections
from tests.bench import fleet, limits
from tests.bench.figure import Figure
from tests.bench.fleet import Fleet

BOTS = 1000
IN_FLIGHT = 50
LATENCY_MS = 50
PAIRS = 5
# Long enough for every claim and every token to be there at the instant.
AHEAD_SECONDS = 8
# A run that has served its window goes on until a successor is there: with the schedule off it is the one.
WINDOW_SECONDS = 5


def posting_1000_bots() -> list[Figure]:
    """1,000 bots with a post each, due at one instant: from the instant to the last outcome written."""
    with fleet.running_stack(POSTING__LANES=IN_FLIGHT, POSTING__WINDOW_SECONDS=WINDOW_SECONDS) as places:
        return asyncio.run(_measure(places))


async def _measure(places: Places) -> list[Figure]:
    async with open_connections("keys", places) as at:
        bots = await fleet.settle(at, BOTS, LATENCY_MS)
        await fleet.one_sender(at)
        await _round(at, bots)  # the first reads every token and opens every lane: a warm run has done that
        ours, bare, plain, tuned = [], [], [], []
        for _ in range(PAIRS):
            bare.append(await limits.bare_aiohttp(places.x, bots.tokens, IN_FLIGHT))
            ours.append(await _round(at, bots))
            plain.append(await limits.bare_httpx(places.x, bots.tokens, IN_FLIGHT, None))
            tuned.append(await limits.bare_httpx(places.x, bots.tokens, IN_FLIGHT, IN_FLIGHT))
        tenth = await asyncio.to_thread(limits.requests_loop, places.x, bots.tokens[: BOTS // 10])
        tasks = await asyncio.to_thread(_task_per_bot, places, bots)
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    return [
        Figure(
            "posting_1000_bots",
            median(ours),
            median(bare),
            "s",
            "ratio <= 1.5",
            {
                "httpx, default limits": median(plain),
                "httpx, keep-alive tuned": median(tuned),
                "requests loop (a tenth, times ten)": tenth * 10,
                "Prefect, one task a bot": tasks,
            },
            f"{BOTS:,} posts due at one instant, {LATENCY_MS} ms at X, {IN_FLIGHT} in flight; {PAIRS} pairs, ratios "
            + ", ".join(f"{ratio:.2f}" for ratio in ratios)
            + ". Ours includes mark, latch and outcome in Postgres, and each post is counted against the windows of its"
            f" bot and its app and the month's money; the bare scripts only send. {fleet.load()}",
        )
    ]


def _task_per_bot(places: Places, bots: Fleet) -> float:
    given = {"url": places.x, "tokens": bots.tokens, "most": IN_FLIGHT}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.task_per_bot"],
        env={**environment.own(places), **environment.prefect_client(places, places.home / "prefect" / "bench")},
        cwd=loading.APP_ROOT,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.strip().splitlines()[-1])


async def _round(at: Connections, bots: Fleet) -> float:
    """Seconds from the planned instant of all posts to the last outcome."""
    due_at = await fleet.now(at) + timedelta(seconds=AHEAD_SECONDS)
    await fleet.schedule(at, bots.bots, [due_at] * BOTS)
    return await fleet.seconds_until_published(at, due_at)
