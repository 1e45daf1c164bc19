"""What every test may lean on: one Postgres a session, a database of its own for each test."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from blocks.postgres.engine import Login, Server, open_engine
from tests import openbao_process
from tests.memory_folder import memory_folder
from tests.migrated_postgres import fresh_database, migrated_postgres
from tests.postgres_process import PostgresProcess
from tests.running_stack import RunningStack
from tests.sharing_out import ON_THE_STACK

# A machine under load draws examples slowly, which says nothing about us.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# No developer's own settings may change what the tests see.
for variable in [name for name in os.environ if name.startswith("VIVESPHERE_")]:
    del os.environ[variable]
os.environ["VIVESPHERE_ENV_FILE"] = os.devnull
os.environ["VIVESPHERE_SETTINGS_FILE"] = str(Path(os.devnull).parent / "none.yaml")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", choices=("without", "only"), help="leave out what runs on the whole stack, or the rest")
    parser.addoption("--soak", action="store_true", help="run the long fault tests too")
    parser.addoption("--seed", type=int, help="what the soak breaks, and when; printed by each run")
    parser.addoption("--posts", type=int, default=10_000, help="posts of the soak")
    parser.addoption(
        "--clients", action="store_true", help="run clients of X for Node too; fail where there is no node"
    )
    parser.addoption("--browser", action="store_true", help="fail, do not skip, where no Chromium is installed")
    parser.addoption("--vault-address", help="run what breaks no vault on this server, which somebody else runs")
    parser.addoption("--vault-token-file", type=Path, help="0600 file with its token that may set mounts and policies")
    parser.addoption("--vault-ca-file", type=Path, help="CA certificate of that server, where the system has it not")


def pytest_configure(config: pytest.Config) -> None:
    if address := config.getoption("--vault-address"):
        token_file = config.getoption("--vault-token-file")
        if token_file is None:
            raise pytest.UsageError("--vault-address takes --vault-token-file as well")
        if config.getoption("numprocesses", 0) or hasattr(config, "workerinput"):
            raise pytest.UsageError("--vault-address takes one process: a server has one set of our policies")
        openbao_process.elsewhere = {
            "address": address,
            "admin_token_file": token_file.resolve(),
            "ca_file": config.getoption("--vault-ca-file"),
        }


def pytest_itemcollected(item: pytest.Item) -> None:
    if "session_stack" in getattr(item, "fixturenames", ()) and not item.nodeid.startswith(ON_THE_STACK):
        raise pytest.UsageError(f"{item.nodeid} needs the stack of the session: name its file in tests/sharing_out.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if part := config.getoption("--stack"):
        wanted = [item for item in items if item.nodeid.startswith(ON_THE_STACK) == (part == "only")]
        config.hook.pytest_deselected(items=list(set(items) - set(wanted)))
        items[:] = wanted
    if not config.getoption("--soak"):
        long = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresProcess]:
    """One server a session, with our roles and a migrated template."""
    with memory_folder("postgres-") as folder, migrated_postgres(folder) as server:
        yield server


@pytest.fixture(scope="session")
def session_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The one stack of a session: each folder that needs it enters `at_home()`, calls `up`, and leaves it running."""
    found = RunningStack(tmp_path_factory.mktemp("stack") / "home")
    yield found
    with found.at_home():
        found.down()


@pytest.fixture
def database(postgres: PostgresProcess, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A migrated database that no other test sees."""
    with fresh_database(postgres, f"test_{abs(hash(request.node.nodeid)):x}") as database:
        yield database


@pytest.fixture
async def engine(postgres: PostgresProcess, database: Server) -> AsyncIterator[AsyncEngine]:
    """A pool of the application's own role."""

    async def login() -> Login:
        return Login("vivesphere_app", postgres.password)

    engine = open_engine(database, login, application="tests", pool_size=10)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Transactions: `async with sessions.begin() as session`."""
    return async_sessionmaker(engine, expire_on_commit=False)
