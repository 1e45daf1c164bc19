"""An app's client secret changes: one app at a time, the app silent meanwhile, and back only where X allows it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.postgres.engine import Login, Server
from config.places import Places
from config.settings import Gateway, Rotation, X, XAppKeys
from tasks.connections import Connections, open_connections
from tasks.domain.credentials import client_path
from tasks.domain.roles import system
from tasks.operations import stops, x_apps
from tasks.operations.rotation import recipe, x_app_keys
from tasks.operations.rotation.recipe import Due
from tasks.operations.rotation.x_app_keys import CannotRollBackError, NotAskedForError
from tests.postgres_process import PostgresProcess
from tests.rotation.conftest import places_of
from tests.waiting import until
from tests.x_sandbox_process import XSandboxProcess

pytestmark = pytest.mark.promise("C2")

ADMIN = system("tests")
ONE, TWO = Due("x_app_keys", "one"), Due("x_app_keys", "two")


@pytest.fixture
def rotation() -> Rotation:
    return Rotation(lease_seconds=0.5, x_app_keys=XAppKeys(grace_seconds=1))


@pytest.fixture
def x(tmp_path: Path) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path) as found:
        yield found


@pytest.fixture
async def at(
    database: Server, postgres: PostgresProcess, rotation: Rotation, gateway: Gateway, x: XSandboxProcess
) -> AsyncIterator[Connections]:
    wanted = places_of(database, rotation, gateway).settings.model_copy(update={"x": X(sandbox_port=x.port)})
    login = Login("vivesphere_app", postgres.password)
    async with open_connections("keys", Places(wanted), own_login=login) as found:
        yield found


@pytest.fixture(autouse=True)
async def apps(at: Connections, at_gateway: Connections, x: XSandboxProcess) -> None:
    """Two apps on X, in the vault, and seen by a run."""
    for name in ("one", "two"):
        made = x.app(name)
        await x_apps.put(
            at_gateway,
            ADMIN,
            name=name,
            use_case=name,
            stage="development",
            client_id=made["client_id"],
            client_secret=SecretStr(made["client_secret"]),
            redirect_uri="http://127.0.0.1/callback",
        )
    await recipe.plan(at)


async def in_use(at: Connections, name: str = "one") -> str:
    """The secret that every reader gets."""
    apps = {app.name: app for app in await x_apps.list_all(at)}
    return at.kv.read(client_path(apps[name].id)).data["client_secret"]


async def stopped(at: Connections) -> list[str | None]:
    return [row.name for row in await stops.standing(at, ADMIN)]


async def begin(at: Connections, at_gateway: Connections, name: str = "one") -> recipe.Done:
    await recipe.ask(at_gateway, "x_app_keys", name, ADMIN, "a laptop was lost")
    return await recipe.rotate_one(at, Due("x_app_keys", name))


async def provide(at_gateway: Connections, secret: str, name: str = "one") -> None:
    await x_app_keys.provide(at_gateway, name, SecretStr(secret), ADMIN)


async def test_the_app_is_silent_until_the_secret_that_a_person_entered_is_tested_and_in_use(
    at: Connections, at_gateway: Connections, x: XSandboxProcess
) -> None:
    old = await in_use(at)
    with pytest.raises(NotAskedForError):
        await provide(at_gateway, "too early")
    done = await begin(at, at_gateway)
    assert (done.found, await stopped(at)) == ("person", ["one"])
    assert "vivesphere credentials provide one" in done.said
    assert (await recipe.rotate_one(at, ONE)).found == "person"
    assert await stopped(at) == ["one"], "it is stopped once, however often the run looks"
    new = x.new_secret("one")
    await provide(at_gateway, new)
    assert await in_use(at) == old
    assert (await recipe.rotate_one(at, ONE)).found == "rotated"
    assert (await in_use(at), await stopped(at)) == (new, [])
    with pytest.raises(CannotRollBackError, match="did not take the old secret"):
        await x_app_keys.roll_back(at_gateway, "one", ADMIN, "the new one fails")
    await until(lambda: _removed(at))
    apps = {app.name: app for app in await x_apps.list_all(at)}
    assert await in_use(at) == new
    with pytest.raises(Exception, match="nothing is stored"):
        at.kv.read(client_path(apps["one"].id), 1)


async def _removed(at: Connections) -> bool:
    return (await recipe.rotate_one(at, ONE)).found == "removed"


async def test_a_secret_that_x_does_not_take_changes_nothing_and_is_entered_again(
    at: Connections, at_gateway: Connections, x: XSandboxProcess
) -> None:
    old = await in_use(at)
    await begin(at, at_gateway)
    await provide(at_gateway, "mistyped")
    done = await recipe.rotate(at, [ONE, TWO])
    assert [(one.subject, one.found) for one in done] == [("one", "failed")]
    assert "mistyped" not in done[0].said
    assert (await in_use(at), await stopped(at)) == (old, ["one"])
    new = x.new_secret("one", old_works=True)
    await provide(at_gateway, new)
    assert (await recipe.rotate_one(at, ONE)).found == "rotated"


async def test_one_app_at_a_time(at: Connections, at_gateway: Connections) -> None:
    await begin(at, at_gateway)
    done = await begin(at, at_gateway, "two")
    assert (done.found, "one is at it" in done.said) == ("waiting", True)
    assert await stopped(at) == ["one"]
    await recipe.abandon(at_gateway, "x_app_keys", "one", ADMIN, "another day")
    with pytest.raises(NotAskedForError):
        await provide(at_gateway, "too late")
    assert (await recipe.rotate_one(at, ONE)).found == "abandoned"
    assert await stopped(at) == []
    assert (await recipe.rotate_one(at, TWO)).found == "person"


async def test_the_secret_before_is_used_again_only_while_x_takes_it(
    at: Connections, at_gateway: Connections, x: XSandboxProcess
) -> None:
    old = await in_use(at)
    await begin(at, at_gateway)
    await provide(at_gateway, x.new_secret("one", old_works=True))
    assert (await recipe.rotate_one(at, ONE)).found == "rotated"
    assert await x_app_keys.roll_back(at_gateway, "one", ADMIN, "a partner still has it") == 1
    assert await in_use(at) == old
    with pytest.raises(CannotRollBackError):
        await x_app_keys.roll_back(at_gateway, "one", ADMIN, "once more")
    [one, _] = [one for one in await recipe.plan(at) if one.kind == "x_app_keys"]
    assert one.current is not None
    assert (one.current.version, one.previous, one.pending) == (1, None, None)


async def test_x_away_is_waited_for(at: Connections, at_gateway: Connections, x: XSandboxProcess) -> None:
    await begin(at, at_gateway)
    await provide(at_gateway, x.new_secret("one"))
    x.stop()
    done = await recipe.rotate_one(at, ONE)
    assert (done.found, "X does not say" in done.said) == ("waiting", True)
    x.start()
    assert (await recipe.rotate_one(at, ONE)).found == "rotated"
