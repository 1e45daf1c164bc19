"""A refresher on a fresh database, the session's vault and an empty sandbox."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from blocks.postgres.engine import Server
from tests.credentials.fleet import Fleet, world_of
from tests.credentials.points import refresher
from tests.openbao_process import shared_openbao
from tests.postgres_process import PostgresProcess
from tests.x_sandbox_process import XSandboxProcess


@pytest.fixture(scope="session")
def x_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    """One sandbox a session."""
    folder: Path = tmp_path_factory.mktemp("x")
    with XSandboxProcess(folder) as sandbox:
        yield sandbox


@pytest.fixture
async def fleet(database: Server, postgres: PostgresProcess, x_process: XSandboxProcess) -> AsyncIterator[Fleet]:
    """Real parts that the tests share; the database and the sandbox's state are this test's own."""
    x_process.reset()
    bao = shared_openbao()
    world = world_of(bao, database, postgres.password, x_process.url)
    async with refresher(world) as at:
        yield Fleet(world, at, postgres, bao, x_process)
