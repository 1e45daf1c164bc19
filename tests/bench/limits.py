"""What posting is measured against: bare scripts that only send, with no claim, mark or outcome."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
import httpx
import requests

SECONDS = 60


async def in_flight(most: int, calls: Sequence[Callable[[], Awaitable[None]]]) -> float:
    """Seconds that the calls take with at most `most` under way."""
    slots = asyncio.Semaphore(most)

    async def one(call: Callable[[], Awaitable[None]]) -> None:
        async with slots:
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(one(call) for call in calls))
    return time.perf_counter() - began


def _text() -> dict[str, str]:
    return {"text": f"bench {secrets.token_hex(8)}"}


async def bare_aiohttp(url: str, tokens: Sequence[str], most: int) -> float:
    """The limit: asyncio and aiohttp."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=most)) as session:

        async def send(token: str) -> None:
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(f"{url}/2/tweets", json=_text(), headers=headers) as answer:
                assert answer.status == 201, await answer.text()
                await answer.read()

        await in_flight(most, [lambda token=token: send(token) for token in tokens[:most]])  # type: ignore[misc]
        return await in_flight(most, [lambda token=token: send(token) for token in tokens])  # type: ignore[misc]


async def bare_httpx(url: str, tokens: Sequence[str], most: int, keep_alive: int | None) -> float:
    """httpx's own pool; `keep_alive` None leaves its default of 20 idle connections."""
    limits = (
        httpx.Limits()
        if keep_alive is None
        else httpx.Limits(max_connections=keep_alive, max_keepalive_connections=keep_alive)
    )
    async with httpx.AsyncClient(limits=limits, timeout=SECONDS, trust_env=False) as client:

        async def send(token: str) -> None:
            answer = await client.post(f"{url}/2/tweets", json=_text(), headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 201, answer.text

        await in_flight(most, [lambda token=token: send(token) for token in tokens[:most]])  # type: ignore[misc]
        return await in_flight(most, [lambda token=token: send(token) for token in tokens])  # type: ignore[misc]


def requests_loop(url: str, tokens: Sequence[str]) -> float:
    """One after the other."""
    began = time.perf_counter()
    with requests.Session() as session:
        for token in tokens:
            headers = {"Authorization": f"Bearer {token}"}
            answer = session.post(f"{url}/2/tweets", json=_text(), headers=headers, timeout=SECONDS)
            assert answer.status_code == 201, answer.text
    return time.perf_counter() - began
