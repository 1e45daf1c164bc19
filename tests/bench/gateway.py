"""The gateway in front of Prefect, against Prefect asked directly in the same moments."""

import asyncio
import base64
import time
from collections.abc import Mapping
from statistics import median, quantiles

import aiohttp

from config.places import Places
from deployments.local import environment
from tests.bench import fleet
from tests.bench.figure import Figure

ROUNDS = 1_000
WARM = 100
# Sixteen ask as fast as they are answered.
ASKING = 16
BURST_SECONDS = 4.0
# The cheapest answer there is: with a dearer one, what we add would drown in what Prefect needs.
PATH = "/api/version"


def gateway_added_p50_ms() -> list[Figure]:
    """What the way through the gateway adds to an answer of Prefect's."""
    limits = {"GATEWAY__OWN_PER_MINUTE": 1_000_000}
    with fleet.running_stack(**limits) as places:
        return asyncio.run(_measure(places))


async def _measure(places: Places) -> list[Figure]:
    auth = environment.prefect_auth(places) or ""
    key = places.cli_key.read_text(encoding="utf-8").strip()
    doors = {places.prefect.removesuffix("/api"): _headers(auth), places.gateway: _headers(key)}
    took: dict[str, list[float]] = {door: [] for door in doors}
    rates: dict[str, float] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=ASKING)) as session:
        for _ in range(WARM + ROUNDS):
            for door, headers in doors.items():
                took[door].append(await _ask(session, door, headers))
        for door, headers in doors.items():
            rates[door] = await _rate(session, door, headers)
    (direct, through) = (took[door][WARM:] for door in doors)
    (direct_rate, through_rate) = rates.values()
    added = [(mine - theirs) * 1000 for mine, theirs in zip(through, direct, strict=True)]
    return [
        Figure(
            "gateway_added_p50_ms",
            median(added),
            None,
            "ms",
            "<= 1.0",
            {
                "p50 direct": median(direct) * 1000,
                "p50 through the gateway": median(through) * 1000,
                "p99 direct": quantiles(direct, n=100)[98] * 1000,
                "p99 through the gateway": quantiles(through, n=100)[98] * 1000,
                "p99 of what is added": quantiles(added, n=100)[98],
                "requests, direct": direct_rate,
                "requests, through the gateway": through_rate,
            },
            f"`GET {PATH}` with a key, {ROUNDS:,} pairs one after the other on connections that stay open; requests a "
            f"second with {ASKING} at once, server, gateway and asker on the same cores.",
            units={"requests, direct": "1/s", "requests, through the gateway": "1/s"},
        )
    ]


def _headers(string: str) -> Mapping[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(string.encode()).decode()}"}


async def _ask(session: aiohttp.ClientSession, door: str, headers: Mapping[str, str]) -> float:
    began = time.perf_counter()
    async with session.get(f"{door}{PATH}", headers=headers) as answer:
        await answer.read()
        assert answer.status == 200, await answer.text()
    return time.perf_counter() - began


async def _rate(session: aiohttp.ClientSession, door: str, headers: Mapping[str, str]) -> float:
    end = time.monotonic() + BURST_SECONDS

    async def asking() -> int:
        count = 0
        while time.monotonic() < end:
            await _ask(session, door, headers)
            count += 1
        return count

    return sum(await asyncio.gather(*(asking() for _ in range(ASKING)))) / BURST_SECONDS
