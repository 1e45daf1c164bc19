"""A sealer on a database of its own; the vault is real, and each test keeps its anchor at a place of its own."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.postgres.engine import Login, Server, open_engine
from blocks.vault.kv import Kv, Secret
from blocks.x.client import XClient
from config.places import Places
from config.settings import Audit, Settings
from tasks.connections import Connections
from tasks.domain.roles import system
from tasks.operations import activity
from tasks.operations.sealing import Sealer
from tests.openbao_process import OpenBaoProcess, shared_openbao
from tests.postgres_process import PostgresProcess


class OwnCornerKv(Kv):
    """The real engine, with the anchor in a corner of this test's own: the vault outlives the database of a test."""

    def __init__(self, vault: OpenBaoProcess) -> None:
        settings = vault.places.settings.vault
        super().__init__(vault.client("keys"), settings.kv_mount, settings.readers)
        self._corner = f"keys/{secrets.token_hex(8)}"

    def read(self, path: str, version: int | None = None) -> Secret:
        """As Kv.read."""
        return super().read(self._own(path), version)

    def write(self, path: str, data: dict[str, str], cas: int | None) -> int:  # type: ignore[override]
        """As Kv.write."""
        return super().write(self._own(path), data, cas)

    def _own(self, path: str) -> str:
        return path if path.startswith(self._corner) else f"{self._corner}/{path}"


@pytest.fixture
def vault() -> OpenBaoProcess:
    """The test process's vault."""
    return shared_openbao()


class Book:
    """The audit of one test: what the application writes, what the sealer makes of it, what the owner may do to it."""

    def __init__(self, at: Connections, app: Connections, owner: str) -> None:
        self.at = at
        self.app = app
        self.owner = owner
        self.sealer = Sealer(at)

    async def write(self, count: int = 1) -> None:
        """Changes, each in a transaction of its own."""
        for number in range(count):
            async with self.app.transaction() as session:
                await self.note(session, f"post-{number}")

    async def note(self, session: AsyncSession, subject: str) -> None:
        """One change in a transaction that is open."""
        await activity.note(session, system("tests"), "posts.cancel", subject, after={"status": "cancelled"})

    def as_owner(self, *statements: str) -> None:
        """What no grant can prevent."""
        with psycopg.connect(self.owner) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]


@pytest.fixture
async def book(
    postgres: PostgresProcess, database: Server, vault: OpenBaoProcess, tmp_path: Path
) -> AsyncIterator[Book]:
    """An audit with nothing in it."""
    kv = OwnCornerKv(vault)
    async with (
        connected(postgres, database, vault, kv, tmp_path, "vivesphere_sealer") as at,
        connected(postgres, database, vault, kv, tmp_path, "vivesphere_app") as app,
    ):
        yield Book(at, app, postgres.conninfo(database.database, "vivesphere_owner"))


@asynccontextmanager
async def connected(
    postgres: PostgresProcess, database: Server, vault: OpenBaoProcess, kv: Kv, home: Path, role: str
) -> AsyncIterator[Connections]:
    """What a process holds open that has this database role."""
    places = Places(Settings(home=home, audit=Audit(seal_seconds=0.05)))

    async def login() -> Login:
        return Login(role, postgres.password)

    engine = open_engine(database, login, application="tests", pool_size=10)
    x = XClient("http://127.0.0.1:9", lanes=1, connect_timeout_seconds=1, deadline_seconds=1)
    try:
        yield Connections(places, database, login, engine, kv, x, vault.transit("sealer"), None)  # type: ignore[arg-type]
    finally:
        await engine.dispose()
