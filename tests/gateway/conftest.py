"""The gateway over a real database and a real vault, each test with its own database and its own home."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from blocks.postgres.engine import Server
from config.places import Places
from config.settings import Gateway, Postgres, Prefect, Settings, Vault, X
from deployments.gateway.app import create_app
from tests.openbao_process import OpenBaoProcess, shared_openbao
from tests.postgres_process import PostgresProcess, free_port
from tests.waiting import until


@pytest.fixture(scope="session")
def vault(postgres: PostgresProcess) -> OpenBaoProcess:
    """The test process's vault; it holds the login that `up` would put there."""
    server = shared_openbao()
    server.kv("provision").write("postgres/login", {"username": "vivesphere_app", "password": postgres.password}, None)
    return server


@pytest.fixture
def places(vault: OpenBaoProcess, database: Server, tmp_path: Path) -> Places:
    """Settings as an installation with somebody else's database and vault has them."""
    return places_of(vault, database, tmp_path)


def places_of(vault: OpenBaoProcess, database: Server, home: Path, **gateway: int) -> Places:
    """An installation in the folder `home`."""
    run = home / "run"
    run.mkdir()
    for file in (vault.places.role_id("gateway"), vault.places.secret_id("gateway")):
        shutil.copy(file, run)
    return Places(
        Settings(
            home=home,
            postgres=Postgres(
                address=f"{database.host}:{database.port}",
                database=database.database,
                tls="disable",
                overrides_seconds=0.2,
            ),
            vault=Vault(address=vault.places.vault, ca_file=vault.places.vault_ca),
            prefect=Prefect(port=free_port()),
            x=X(sandbox_port=free_port()),
            # Tests change roles behind the gateway's back.
            gateway=Gateway(port=free_port(), remembered_seconds=0, **gateway),
        )
    )


@dataclass
class Front:
    """The gateway as its callers see it."""

    app: FastAPI
    places: Places
    anybody: httpx.AsyncClient
    admin: httpx.AsyncClient

    async def call(self, method: str, path: str, **what: Any) -> httpx.Response:
        """As the admin's key."""
        return await self.admin.request(method, f"/api/v1{path}", **what)


PASSWORD = "a lamp in every window"  # pragma: allowlist secret


async def let_admin_choose(front: Front) -> None:
    """The first admin chooses PASSWORD."""
    (await front.call("POST", "/users/admin/password", json={"password": PASSWORD})).raise_for_status()


async def a_user(front: Front, username: str, *roles: tuple[str, str | None]) -> dict[str, Any]:
    """A user with PASSWORD who holds these roles, each for a label or for everything."""
    answer = await front.call("POST", "/users", json={"username": username, "password": PASSWORD})
    user: dict[str, Any] = answer.raise_for_status().json()
    for role, label in roles:
        wanted = {"user_id": user["id"], "role": role, "label": label}
        (await front.call("POST", "/roles/assign", json=wanted)).raise_for_status()
    return user


async def a_key(front: Front, username: str, *roles: tuple[str, str | None]) -> dict[str, str]:
    """The header by which a program of a new user's calls."""
    user = await a_user(front, username, *roles)
    answer = await front.call("POST", "/keys", json={"name": "tests", "user_id": user["id"]})
    return {"Authorization": f"Bearer {answer.raise_for_status().json()['key']}"}


@asynccontextmanager
async def served(places: Places) -> AsyncIterator[Front]:
    """The application at work, reached without a socket."""
    app = create_app(places)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=places.gateway) as anybody,
        httpx.AsyncClient(transport=transport, base_url=places.gateway) as admin,
    ):
        await until(lambda: app.state.opening.ready)
        key = places.cli_key.read_text(encoding="utf-8")
        admin.headers["Authorization"] = f"Bearer {key}"
        yield Front(app, places, anybody, admin)


@pytest.fixture
async def front(places: Places) -> AsyncIterator[Front]:
    """The gateway at work."""
    async with served(places) as found:
        yield found


async def without_rights(front: Front, sessions: async_sessionmaker[AsyncSession]) -> httpx.AsyncClient:
    """The same key, after its owner lost every role."""
    async with sessions.begin() as session:
        await session.execute(text("DELETE FROM role_bindings"))
    return front.admin
