"""A page that cannot be drawn fails no send and delays none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from config.settings import LOOPBACK
from tasks import artifacts
from tasks.operations import delivery
from tests.delivery.conftest import Sender
from tests.postgres_process import free_port

POSTS = 30
# Nothing here waits for anything, so that even a loaded machine sends within this time.
LATE_SECONDS = 2.0

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def fails(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def hangs(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


@asynccontextmanager
async def prefect(answer: Answer | None) -> AsyncIterator[list[int]]:
    """Prefect's server as this process finds it: away, or with one answer to everything; yields who asked."""
    asked: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(len(asked))
        if answer is not None:
            await answer(reader, writer)

    port = free_port()
    server = await asyncio.start_server(serve, LOOPBACK, port) if answer else None
    with temporary_settings({PREFECT_API_URL: f"http://{LOOPBACK}:{port}/api"}):
        yield asked
    if server is not None:
        server.close()


# Prefect would rather draw from inside of a run, and here there is none.
@pytest.mark.filterwarnings("ignore:Artifact creation outside:FutureWarning")
@pytest.mark.parametrize("answer", [None, fails, hangs], ids=["away", "500", "silent"])
async def test_a_page_that_cannot_be_drawn_fails_no_send_and_delays_none(
    sender: Sender, answer: Answer | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(artifacts, "DRAW_SECONDS", 0.05)
    monkeypatch.setattr(artifacts, "CALL_SECONDS", 1.0)
    [bot] = await sender.with_bots(1)
    for number in range(POSTS):
        await sender.schedule(bot, due_in_seconds=0.5 + number * 0.05)
    async with prefect(answer) as asked:
        async with delivery.open_window(sender.at, 4) as window, artifacts.progress(window):
            async for claim in window:
                window.sending(delivery.publish(sender.at, claim))
            assert (window.taken, window.ended) == (POSTS, POSTS)
        began = asyncio.get_running_loop().time()
        await artifacts.show_summary(window.results)
        assert asyncio.get_running_loop().time() - began < 5
    sent = [one for published in window.results for one in published.sent]
    assert {one.status for one in sent} == {"published"}
    assert len(sender.ledger()) == POSTS
    assert max(one.lateness_seconds or 0 for one in sent) < LATE_SECONDS
    assert bool(asked) == (answer is not None)
    assert "the run's page could not be drawn" in caplog.text
