"""Connections that tell which step of a refresh was just done, so that a test can break something there and then."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.postgres.engine import Login, Server, open_engine
from blocks.vault.client import Vault
from blocks.vault.kv import Kv, Secret
from blocks.vault.transit import Transit
from blocks.x.calls import Call, Caller, Latch, Reply
from blocks.x.client import XClient
from config.places import Places
from tasks.connections import Connections
from tasks.domain.credentials import PROBE_PATH

Reached = Callable[[str], None]

# In the order in which one refresh gets there.
POINTS = (
    "R1 leased",
    "R2 read",
    "R3 probed",
    "R4 marked",
    "R5 leaving",
    "R5 answered",
    "R6 sealed",
    "R7 refresh token written",
    "R7 access token written",
    "R8 labels moved",
)
# What a transaction that committed has said.
COMMITTED: Mapping[str, str] = {
    "SET lease_epoch=": "R1 leased",
    "INSERT INTO refresh_attempts": "R4 marked",
    "INSERT INTO token_escrow": "R6 sealed",
    "DELETE FROM token_escrow": "R8 labels moved",
}


def nothing(point: str) -> None:
    """Go on."""


@dataclass(frozen=True)
class World:
    """Where the real parts are; it can be handed to another process."""

    places: Places
    server: Server
    password: str


class PointedKv(Kv):
    """The KV engine, and what was just read or written."""

    reached: Reached = staticmethod(nothing)

    def read(self, path: str, version: int | None = None) -> Secret:
        """As Kv.read."""
        found = super().read(path, version)
        if path.endswith("/refresh"):
            self.reached("R2 read")
        return found

    def write(self, path: str, data: Mapping[str, str], cas: int | None) -> int:
        """As Kv.write."""
        version = super().write(path, data, cas)
        if path == PROBE_PATH:
            self.reached("R3 probed")
        return version

    def write_once(self, path: str, data: Mapping[str, str], cas: int, attempt_id: str) -> int:
        """As Kv.write_once."""
        version = super().write_once(path, data, cas, attempt_id)
        if path.startswith("bots/"):
            self.reached(f"R7 {path.rpartition('/')[2]} token written")
        return version


class PointedCaller:
    """The way to X, and what was just asked of it."""

    def __init__(self, caller: Caller, reached: Reached) -> None:
        self.lanes = caller.lanes
        self._caller = caller
        self.reached = reached

    def url(self, path: str) -> httpx.URL:
        """As Caller.url."""
        return self._caller.url(path)

    async def call(self, call: Call, *, latch: Latch | None = None, deadline_seconds: float | None = None) -> Reply:
        """As Caller.call."""

        def before() -> None:
            if latch is not None:
                latch()
            self.reached("R5 leaving")

        reply = await self._caller.call(call, latch=before, deadline_seconds=deadline_seconds)
        self.reached("R5 answered")
        return reply


class PointedConnections(Connections):
    """Connections of one refresher; `reached` is told each point as it is passed."""

    reached: Reached = staticmethod(nothing)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """As Connections.transaction."""
        said: list[str] = []
        async with super().transaction() as session:
            execute = session.execute

            async def heard(statement: Any, *given: Any, **named: Any) -> Any:
                said.append(str(statement))
                return await execute(statement, *given, **named)

            session.execute = heard  # type: ignore[method-assign]
            yield session
        for words, point in COMMITTED.items():
            if any(words in statement for statement in said):
                self.reached(point)


@asynccontextmanager
async def refresher(world: World, reached: Reached = nothing) -> AsyncIterator[PointedConnections]:
    """Everything that a process of the role `keys` holds open."""
    settings = world.places.settings

    async def login() -> Login:
        return Login("vivesphere_app", world.password)

    engine = open_engine(world.server, login, application="refresher", pool_size=settings.postgres.pool_size)
    with Vault.for_role(world.places, "keys") as vault:
        kv = PointedKv(vault, settings.vault.kv_mount, settings.vault.readers)
        kv.reached = reached
        async with XClient(
            world.places.x, lanes=4, connect_timeout_seconds=1, deadline_seconds=settings.x.deadline_seconds
        ) as x:
            x.caller = PointedCaller(x.caller, reached)  # type: ignore[assignment]
            transit = Transit.of(vault, settings.vault)
            at = PointedConnections(world.places, world.server, login, engine, kv, x, transit, None)  # type: ignore[arg-type]
            at.reached = reached
            try:
                yield at
            finally:
                await engine.dispose()
