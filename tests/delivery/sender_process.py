"""Senders as processes of their own, which die or fall asleep at an exact point, or are killed from outside.

They are forked from one server that has everything imported, so that one costs no second.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any, Literal, get_args

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.postgres.engine import Login, Server, open_engine
from blocks.x.client import XClient
from config.places import Places
from config.settings import Settings
from tasks.connections import Connections
from tasks.operations import delivery

Point = Literal["claimed", "marked", "headers out", "body out", "answer in", "before outcome"]
POINTS: tuple[Point, ...] = get_args(Point)

# What the transaction at whose end a sender dies has said; the mark and the claim die after their commit.
_COMMITTED = {"claimed": "SET status = 'claimed'", "marked": "mark_posts"}
_EVENTS = {"headers out": "http11.send_request_headers.complete", "body out": "http11.send_request_body.complete"}

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.delivery.sender_process"])


@dataclass(frozen=True)
class Start:
    """What a sender process is told; `secrets` are access tokens by their path in the vault."""

    settings: Settings
    server: Server
    password: str
    x_url: str
    secrets: dict[str, dict[str, str]]
    seconds: float
    dies: Point | None = None
    # What it sends itself at that point, once.
    by: signal.Signals = signal.SIGKILL


def start(given: Start) -> BaseProcess:
    """A sender at work."""
    process = _context.Process(target=_main, args=(given,), daemon=True)
    process.start()
    return process


def _main(given: Start) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_serve(given))


async def _serve(given: Start) -> None:
    from tests.delivery.conftest import FakeKv

    async def login() -> Login:
        return Login("vivesphere_app", given.password)

    kv = FakeKv()
    kv.secrets.update(given.secrets)
    engine = open_engine(given.server, login, application="sender", pool_size=4)
    lanes = given.settings.posting.lanes
    deadline = given.settings.x.deadline_seconds
    async with XClient(given.x_url, lanes=lanes, connect_timeout_seconds=1, deadline_seconds=deadline) as x:
        if given.dies in _EVENTS:
            x.caller.lanes = _DyingLanes(x.caller.lanes, _EVENTS[given.dies], given.by)  # type: ignore[assignment]
        kind = _DyingConnections if given.dies else Connections
        at = kind(Places(given.settings), given.server, login, engine, kv, x, None, None)  # type: ignore[arg-type]
        if isinstance(at, _DyingConnections):
            at.point, at.by = given.dies, given.by
        async with delivery.open_window(at, given.seconds) as window:
            async for claim in window:
                window.sending(delivery.publish(at, claim))
        await engine.dispose()


class _DyingConnections(Connections):
    """Connections of a sender that dies, or falls asleep, at one point of its work with the database."""

    point: Point | None = None
    by: signal.Signals = signal.SIGKILL

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """As Connections.transaction."""
        said: list[str] = []
        async with super().transaction() as session:
            self._listen(session, said)
            yield session
        self._committed(said)

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncSession]:
        """As Connections.statement."""
        said: list[str] = []
        async with super().statement() as session:
            self._listen(session, said)
            yield session
        self._committed(said)

    def _listen(self, session: AsyncSession, said: list[str]) -> None:
        execute = session.execute

        async def heard(statement: Any, *given: Any, **named: Any) -> Any:
            said.append(str(statement))
            # The answer is in, and nothing of it is written; or it is written, and not committed.
            if self.point == "answer in" and "jsonb_to_recordset" in said[-1]:
                self._die()
            found = await execute(statement, *given, **named)
            if self.point == "before outcome" and "jsonb_to_recordset" in said[-1]:
                self._die()
            return found

        session.execute = heard  # type: ignore[method-assign]

    def _committed(self, said: list[str]) -> None:
        committed = _COMMITTED.get(self.point or "")
        if committed and any(committed in one for one in said):
            self._die()

    def _die(self) -> None:
        self.point = None
        os.kill(os.getpid(), self.by)


class _DyingLanes:
    """Lanes on which the sender dies at an event of the connection library."""

    def __init__(self, lanes: Any, event: str, by: signal.Signals) -> None:
        self._lanes = lanes
        self._event = event
        self._by = by

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lanes, name)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As Lanes.handle_async_request."""
        trace = request.extensions["trace"]

        async def heard(event: str, info: Any) -> None:
            await trace(event, info)
            if event == self._event:
                os.kill(os.getpid(), self._by)

        request.extensions = {**request.extensions, "trace": heard}
        return await self._lanes.handle_async_request(request)  # type: ignore[no-any-return]
