"""The connections to X over TLS: their pace beside the fastest honest client, and what a cancellation costs."""

import asyncio
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import aiohttp
import httpx
from pydantic import SecretStr

from blocks.x.client import XClient
from blocks.x.wire import CreatePost
from tests.bench.figure import Figure
from tests.bench.limits import in_flight
from tests.unit.x_peer import tls_for_loopback

REQUESTS = 1_000
IN_FLIGHT = 50
PAIRS = 5
CANCELLED_EVERY = 10
CANCELLED_AFTER_SECONDS = 0.02
SECONDS = 60
TOKEN = SecretStr("bench")
POST = CreatePost(text="A post of the bench, about the weather in the harbour")

Call = Callable[[], Awaitable[None]]


def lanes_tls() -> list[Figure]:
    """1,000 posts to a peer that answers after 50 ms, 50 in flight, everything over TLS."""
    with tempfile.TemporaryDirectory(prefix="vivesphere-bench-") as folder, _peer(Path(folder)) as (url, ca_file):
        pairs = [asyncio.run(_pair(url, ca_file)) for _ in range(PAIRS)]
    theirs, mine, cancelled, pool = (list(column) for column in zip(*pairs, strict=True))
    return [
        Figure(
            "lanes_tls",
            median(mine),
            median(theirs),
            "s",
            "<= 1.5 times aiohttp",
            {"every tenth cancelled": median(cancelled), "httpx with its own pool": median(pool)},
            f"{REQUESTS:,} posts by the X client to a peer that answers after 50 ms, {IN_FLIGHT} in flight, "
            f"connections warm, {PAIRS} rounds. Limit: aiohttp sending the same. A cancelled request is given up after "
            f"{CANCELLED_AFTER_SECONDS * 1000:.0f} ms, while X still thinks, and takes its connection with it: the "
            "next one shakes hands anew, and no lane is lost.",
        )
    ]


@contextmanager
def _peer(folder: Path) -> Iterator[tuple[str, Path]]:
    """A peer with a core of its own, and the file that a client has to trust."""
    _, ca_file = tls_for_loopback(folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.slow_answers", str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), ca_file
    finally:
        process.terminate()
        process.wait()


async def _pair(url: str, ca_file: Path) -> tuple[float, float, float, float]:
    """Seconds of aiohttp, of ours, of ours with cancellations, and of httpx."""
    return (
        await _aiohttp(url, ca_file),
        await _ours(url, ca_file, cancelled_every=None),
        await _ours(url, ca_file, cancelled_every=CANCELLED_EVERY),
        await _httpx(url, ca_file),
    )


async def _timed(send: Call) -> float:
    await in_flight(IN_FLIGHT, [send] * IN_FLIGHT)  # every connection stands
    return await in_flight(IN_FLIGHT, [send] * REQUESTS)


async def _ours(url: str, ca_file: Path, cancelled_every: int | None) -> float:
    sent = 0

    async def send() -> None:
        nonlocal sent
        sent += 1
        if cancelled_every and sent % cancelled_every == 0:
            task = asyncio.create_task(x.create_post(TOKEN, POST))
            await asyncio.sleep(CANCELLED_AFTER_SECONDS)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        else:
            assert (await x.create_post(TOKEN, POST)).status == 201

    async with XClient(url, lanes=IN_FLIGHT, connect_timeout_seconds=5, deadline_seconds=SECONDS, ca_file=ca_file) as x:
        seconds = await _timed(send)
        assert x.lanes_free == IN_FLIGHT, "a cancellation lost a lane"
    return seconds


async def _aiohttp(url: str, ca_file: Path) -> float:
    context = ssl.create_default_context(cafile=str(ca_file))
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT, ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def send() -> None:
            headers = {"Authorization": f"Bearer {TOKEN.get_secret_value()}"}
            async with session.post(f"{url}/2/tweets", json={"text": POST.text}, headers=headers) as answer:
                assert answer.status == 201
                await answer.json()

        return await _timed(send)


async def _httpx(url: str, ca_file: Path) -> float:
    context = ssl.create_default_context(cafile=str(ca_file))
    async with httpx.AsyncClient(verify=context, timeout=SECONDS, trust_env=False) as client:

        async def send() -> None:
            headers = {"Authorization": f"Bearer {TOKEN.get_secret_value()}"}
            answer = await client.post(f"{url}/2/tweets", json={"text": POST.text}, headers=headers)
            assert answer.status_code == 201
            answer.json()

        return await _timed(send)
