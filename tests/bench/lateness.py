"""Lateness: how long after its planned instant the first byte of a post leaves."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import quantiles
from uuid import UUID

from sqlalchemy import text

from config.places import Places
from tasks.connections import Connections, open_connections
from tests.bench import fleet
from tests.bench.figure import Figure

BOTS = 200
LATENCY_MS = 50
STEADY_POSTS, STEADY_SECONDS = 400, 120.0
BURST_POSTS = 500
BEGIN_SECONDS = 10.0


def lateness_p99_ms() -> list[Figure]:
    """400 posts of 200 bots over two minutes, then 500 due at one instant, on a stack whose runs come and go."""
    with fleet.running_stack(POSTING__WINDOW_SECONDS=5) as places:
        return asyncio.run(_measure(places))


async def _measure(places: Places) -> list[Figure]:
    async with open_connections("keys", places) as at:
        bots = (await fleet.settle(at, BOTS, LATENCY_MS)).bots
        await fleet.one_sender(at)
        first = await fleet.now(at) + timedelta(seconds=BEGIN_SECONDS)
        step = timedelta(seconds=STEADY_SECONDS / STEADY_POSTS)
        steady = await _late_ms(at, bots, [first + number * step for number in range(STEADY_POSTS)])
        due_at = await fleet.now(at) + timedelta(seconds=BEGIN_SECONDS)
        burst = await _late_ms(at, bots, [due_at] * BURST_POSTS)
    return [
        Figure(
            "lateness_p99_ms",
            _percentile(steady, 99),
            None,
            "ms",
            "< 1000",
            {"p50": _percentile(steady, 50), "most": max(steady)},
            f"{STEADY_POSTS} posts of {BOTS} bots over {STEADY_SECONDS:g} s, {LATENCY_MS} ms at X; first byte after the"
            " planned instant, by the database's clock.",
        ),
        Figure(
            "lateness_of_a_burst_p99_ms",
            _percentile(burst, 99),
            None,
            "ms",
            "< 1000",
            {"p50": _percentile(burst, 50), "most": max(burst)},
            f"{BURST_POSTS} posts of {BOTS} bots due at one instant, 100 in flight, {LATENCY_MS} ms at X.",
        ),
    ]


async def _late_ms(at: Connections, bots: list[UUID], instants: Sequence[datetime]) -> list[float]:
    """Schedule a post at each instant, wait for the last, and say how late each was."""
    ids = await fleet.schedule(at, bots, list(instants))
    ended = "SELECT count(*) FROM posts WHERE id = ANY(:ids) AND status = 'published'"
    async with asyncio.timeout((max(instants) - await fleet.now(at)).total_seconds() + 60):
        while await fleet.number(at, ended, ids=ids) < len(ids):
            await asyncio.sleep(0.5)
    async with at.transaction() as session:
        found = await session.execute(
            text(
                "SELECT extract(epoch FROM attempt.first_byte_at - post.planned_at) * 1000 AS late_ms"
                " FROM posts AS post JOIN publish_attempts AS attempt ON attempt.post_id = post.id"
                " WHERE post.id = ANY(:ids) AND attempt.ended = 'accepted'"
            ),
            {"ids": ids},
        )
        return [float(row.late_ms) for row in found]


def _percentile(values: list[float], which: int) -> float:
    return quantiles(values, n=100)[which - 1]
