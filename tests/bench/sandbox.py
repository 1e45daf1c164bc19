"""The X sandbox alone: how many posts it takes on one core, beside what merely answers."""

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from tests.bench.figure import Figure
from tests.x_sandbox_process import XSandboxProcess

ACCOUNTS = 1_000
POSTS = 4_000
CONNECTIONS = 32
PAIRS = 5
UNLIMITED = {"user_15_minutes": None, "user_24_hours": None, "app_24_hours": None}
LINE_END = b"\r\n\r\n"


def sandbox_posts_per_second() -> list[Figure]:
    """Posts of 1,000 accounts over 32 connections; server and senders have a core each."""
    ours, bare = [], []
    served, sending = _cores()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sending})
    try:
        with tempfile.TemporaryDirectory(prefix="vivesphere-bench-") as folder, _bare(served) as limit_url:
            with XSandboxProcess(Path(folder)) as sandbox:
                os.sched_setaffinity(sandbox.pid, {served})
                sandbox.settings(limits={"POST /2/tweets": UNLIMITED})
                handles = [f"bot{number}" for number in range(ACCOUNTS)]
                tokens = [str(token["access_token"]) for token in sandbox.tokens(*handles)]
                numbers = itertools.count()
                for at in range(PAIRS + 1):
                    theirs = asyncio.run(_posts_per_second(limit_url, tokens, numbers))
                    accepted = len(sandbox.ledger("create"))
                    mine = asyncio.run(_posts_per_second(sandbox.url, tokens, numbers))
                    assert len(sandbox.ledger("create")) == accepted + POSTS, "each of them stands in the ledger"
                    if at:  # the first pair warms both up
                        ours.append(mine)
                        bare.append(theirs)
    finally:
        os.sched_setaffinity(0, before)
    rounds = ", ".join(f"{each:,.0f}" for each in ours)
    return [
        Figure(
            "sandbox_posts_per_second",
            median(ours),
            median(bare),
            "1/s",
            ">= 1,000",
            {},
            f"{POSTS:,} posts a round by {ACCOUNTS:,} accounts over {CONNECTIONS} connections; the sandbox has one "
            f"core to itself, the senders the other; rounds of {rounds}. Limit: uvicorn with httptools, which reads "
            "each request and answers the same. Ours checks token, limits, text, duplicates and credits, and "
            "writes each post to the ledger.",
        )
    ]


def _cores() -> tuple[int, int]:
    """One for the server and one for the senders; the same one where there is no other."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


@contextmanager
def _bare(core: int) -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.bare_answers"], stdout=subprocess.PIPE, text=True)
    try:
        os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


async def _posts_per_second(url: str, tokens: list[str], numbers: Iterator[int]) -> float:
    place = urlsplit(url)
    requests = iter([_request(tokens[number % len(tokens)], number) for number in itertools.islice(numbers, POSTS)])
    began = time.perf_counter()
    await asyncio.gather(*(_send(place.hostname or "", place.port or 0, requests) for _ in range(CONNECTIONS)))
    return POSTS / (time.perf_counter() - began)


def _request(token: str, number: int) -> bytes:
    body = b'{"text":"Post number %d of the bench, about the weather in the harbour"}' % number
    head = (
        b"POST /2/tweets HTTP/1.1\r\nHost: api.x.com\r\nAccept: */*\r\nUser-Agent: bench\r\n"
        b"Authorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d"
        % (token.encode(), len(body))
    )
    return head + LINE_END + body


async def _send(host: str, port: int, requests: Iterator[bytes]) -> None:
    """One keep-alive connection that has one request under way at a time."""
    reader, writer = await asyncio.open_connection(host, port)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(LINE_END)
        assert head.startswith(b"HTTP/1.1 201"), head
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()
    await writer.wait_closed()
