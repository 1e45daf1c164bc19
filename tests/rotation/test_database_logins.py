"""The database login changes under a pool that is asked without a pause, and no query fails."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from blocks.postgres.engine import Login, Server
from config.places import Places
from config.settings import DatabaseLogins, Gateway, Postgres, Rotation
from deployments.local import database_engine
from tasks.connections import APP_LOGIN_PATH, Connections, open_connections
from tasks.operations.rotation import database_logins, recipe
from tasks.operations.rotation.recipe import Done, Due
from tasks.store import rotations
from tests.openbao_process import shared_openbao
from tests.postgres_process import PostgresProcess
from tests.rotation.conftest import places_of
from tests.waiting import until

pytestmark = pytest.mark.promise("C2")

ONE = Due("database_logins", "app")


@pytest.fixture
async def at(database: Server, postgres: PostgresProcess) -> AsyncIterator[Connections]:
    """The rotating process, with the vault's engine set up as `up` does it."""
    rotation = Rotation(lease_seconds=0.5, database_logins=DatabaseLogins(max_age_seconds=5, grace_seconds=1))
    given = places_of(database, rotation, Gateway()).settings
    wanted = given.postgres.model_copy(
        update={"admin_password_file": postgres.password_file, "login_seconds": 0.1, "pool_size": 4}
    )
    places = Places(given.model_copy(update={"postgres": Postgres(**wanted.model_dump())}))
    kv = shared_openbao().kv("provision")
    kv.write("postgres/app", {"username": "vivesphere_app", "password": postgres.password}, None)
    database_engine.provision(places, lambda role: postgres.password)
    async with open_connections("keys", places, own_login=Login("vivesphere_app", postgres.password)) as found:
        yield found


class Asked:
    """A process that asks the database all the time, over a pool of its own."""

    def __init__(self, at: Connections) -> None:
        self.at = at
        self.asking = asyncio.create_task(self.ask())
        self.users: list[str] = []
        self.over = asyncio.Event()

    async def ask(self) -> None:
        async with open_connections("gateway", self.at.places) as mine:
            await asyncio.gather(*(self._one(mine) for _ in range(4)))

    async def _one(self, mine: Connections) -> None:
        while not self.over.is_set():
            async with mine.transaction() as session:
                connection = await session.connection()
                found = await connection.exec_driver_sql("SELECT session_user, current_user FROM posts_asked")
                self.users.append(found.one()[0])

    async def stop(self) -> None:
        """Ask no more; raises what a query failed with."""
        self.over.set()
        await self.asking

    @property
    def user(self) -> str:
        return self.users[-1] if self.users else ""


@pytest.fixture
async def asked(at: Connections, postgres: PostgresProcess, database: Server) -> AsyncIterator[Asked]:
    """Somebody asks until the test ends; one failed query fails the test."""
    with psycopg.connect(postgres.conninfo(database.database), autocommit=True) as connection:
        connection.execute("CREATE VIEW posts_asked AS SELECT 1")
        connection.execute("GRANT SELECT ON posts_asked TO vivesphere_app")
    found = Asked(at)
    await until(lambda: found.users)
    yield found
    await found.stop()


async def rotated(at: Connections, how: str) -> Done | None:
    done = await recipe.rotate_one(at, ONE)
    assert done.found in ("waiting", how), done
    return done if done.found == how else None


async def test_a_pool_goes_over_to_each_new_login_and_no_query_fails(
    at: Connections, asked: Asked, postgres: PostgresProcess
) -> None:
    assert asked.user == "vivesphere_app"
    seen = {asked.user}
    for _ in range(3):
        await until(lambda: rotated(at, "rotated"))
        current = at.kv.read(APP_LOGIN_PATH).data["username"]
        await until(lambda: asked.user == current)  # noqa: B023
        seen.add(current)
        assert await database_logins.renew(at) == 2 - (len(seen) == 2)
        await until(lambda: rotated(at, "removed"))
    assert len(seen) == 4
    with psycopg.connect(postgres.conninfo()) as connection:
        left = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'").fetchall()
    assert left == [(asked.user,)]
    assert len(asked.users) > 100


async def test_a_login_whose_lease_ended_gives_way_to_the_one_that_up_keeps_and_then_to_a_new_one(
    at: Connections, asked: Asked
) -> None:
    await until(lambda: rotated(at, "rotated"))
    async with at.transaction() as session:
        lost = await rotations.current(session, ONE.kind, ONE.subject)
    assert lost is not None
    await until(lambda: asked.user == lost.facts["username"])
    await asked.stop()
    at.leases.revoke(lost.facts["accessor"])
    await database_logins.renew(at)
    assert at.kv.read(APP_LOGIN_PATH).data["username"] == "vivesphere_app"
    await until(lambda: rotated(at, "rotated"))
    assert at.kv.read(APP_LOGIN_PATH).data["username"] not in ("vivesphere_app", lost.facts["username"])
