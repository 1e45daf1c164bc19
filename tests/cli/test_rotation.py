"""Keys of programs, the key of the commands themselves, and versions that a person begins or gives up."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from blocks.postgres.engine import Login
from config.places import Places
from config.settings import ApiKeys, Gateway, Rotation
from tasks.connections import Connections, open_connections
from tasks.operations.rotation import recipe
from tasks.operations.rotation.recipe import Due
from tests.cli.conftest import Terminal
from tests.gateway.conftest import Front, a_key, front, places  # noqa: F401
from tests.postgres_process import PostgresProcess, free_port
from tests.prefect_stand_in import PrefectStandIn
from tests.waiting import until

Sessions = async_sessionmaker[AsyncSession]
CLI = Due("api_keys", "cli")


@pytest.fixture
def places(places: Places) -> Places:  # noqa: F811
    """A key that was replaced stays good for as long as some commands take."""
    rotation = Rotation(lease_seconds=0.5, api_keys=ApiKeys(grace_seconds=4))
    return Places(places.settings.model_copy(update={"rotation": rotation}))


@pytest.fixture
async def keys(stack: Terminal, places: Places, postgres: PostgresProcess) -> AsyncIterator[Connections]:  # noqa: F811
    """What a rotating process holds open, beside the gateway; the vault is asked nothing by these kinds."""
    login = Login("vivesphere_app", postgres.password)
    async with open_connections("keys", places, own_login=login) as found:
        await recipe.rotate_one(found, CLI)
        yield found


@pytest.fixture
def rotations(prefect: PrefectStandIn) -> PrefectStandIn:
    """A Prefect that has the deployment."""
    prefect.flows["rotate-credentials"] = str(uuid4())
    prefect.deployments.append(prefect._deployment("rotate-credentials", "every-5-minutes", []))
    return prefect


async def opens(places: Places, key: str) -> bool:  # noqa: F811
    header = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{places.gateway}/api/v1/keys", headers=header)).status_code == 200


async def listed(stack: Terminal) -> dict[str, Any]:
    found = json.loads((await stack("keys", "list", "--json")).out)
    return {key["id"]: key for key in found}


@pytest.mark.promise("C2")
async def test_a_programs_key_and_the_next_one_open_the_door_until_the_grace_is_over(
    stack: Terminal,
    places: Places,  # noqa: F811
) -> None:
    old = (await stack("keys", "create", "pool", "--role", "viewer")).out.strip()
    key_id = old.partition(":")[0]
    new = (await stack("keys", "rotate", key_id)).out.strip()
    assert new.partition(":")[0] != key_id
    assert [await opens(places, key) for key in (old, new)] == [True, True]
    shown = await listed(stack)
    assert (shown[new.partition(":")[0]]["role"], shown[new.partition(":")[0]]["ends_at"]) == ("viewer", None)
    assert shown[key_id]["ends_at"] is not None
    again = await stack("keys", "rotate", key_id)
    assert (again.code, "another has taken its place" in again.err) == (1, True)

    async def over() -> bool:
        return not await opens(places, old)

    await until(over)
    assert await opens(places, new)
    assert key_id not in await listed(stack)
    assert (await stack("keys", "rotate", str(uuid4()))).code == 1


@pytest.mark.promise("C2")
async def test_the_commands_own_key_changes_under_them_and_the_one_before_ends_after_its_grace(
    keys: Connections,
    stack: Terminal,
    rotations: PrefectStandIn,
    places: Places,  # noqa: F811
) -> None:
    old = places.cli_key.read_text(encoding="utf-8").strip()
    said = await stack("rotate", "api_keys", "cli", "--reason", "a laptop was lost")
    assert (said.code, "version 2 of api_keys cli is on its way" in said.out + said.err) == (0, True), said
    assert len(rotations.runs) == 1
    refused = await stack("rotate", "api_keys", "cli", "--reason", "once more")
    assert (refused.code, "is on its way" in refused.err) == (1, True)
    # That run is no more than Prefect's word for it here: this is what it does.
    assert (await recipe.rotate_one(keys, CLI)).found == "rotated"
    new = places.cli_key.read_text(encoding="utf-8").strip()
    assert (new != old, places.cli_key.stat().st_mode & 0o777) == (True, 0o600)
    assert [await opens(places, key) for key in (old, new)] == [True, True]
    assert (await stack("keys", "list")).code == 0
    await until(lambda: _removed(keys))
    assert [await opens(places, key) for key in (old, new)] == [False, True]
    assert (await stack("keys", "list")).code == 0


async def _removed(keys: Connections) -> bool:
    return (await recipe.rotate_one(keys, CLI)).found == "removed"


@pytest.mark.promise("C2")
async def test_a_key_that_does_not_open_the_door_is_given_up_and_leaves_nothing(
    keys: Connections,
    stack: Terminal,
    rotations: PrefectStandIn,
    places: Places,  # noqa: F811
    sessions: Sessions,
) -> None:
    old = places.cli_key.read_text(encoding="utf-8").strip()
    await stack("rotate", "api_keys", "cli", "--reason", "a laptop was lost")
    keys.places = Places(places.settings.model_copy(update={"gateway": Gateway(port=free_port())}))
    assert (await recipe.rotate_one(keys, CLI)).said == "test: the gateway does not answer (ConnectError)"
    keys.places = places
    async with sessions.begin() as session:
        await session.execute(text("UPDATE api_keys SET revoked_at = app_now() WHERE replaced_at IS NULL"))
    assert (await recipe.rotate_one(keys, CLI)).said == (
        "test: the gateway does not take the new key; the version in use stays"
    )
    # The run that the command starts is Prefect's word alone, so that it sees the version where it was.
    given_up = await stack("credentials", "abandon", "api_keys", "cli", "--reason", "the key is bad")
    assert (given_up.code, "api_keys cli version 2: on its way" in given_up.out) == (4, True), given_up
    assert (await recipe.rotate_one(keys, CLI)).found == "abandoned"
    again = await stack("credentials", "abandon", "api_keys", "cli", "--reason", "the key is bad")
    assert (again.code, "no version of cli is on its way" in again.err) == (1, True)
    assert [file.name for file in places.cli_key.parent.glob("cli.key*")] == ["cli.key"]
    assert places.cli_key.read_text(encoding="utf-8").strip() == old
    assert [(key["name"], key["ends_at"]) for key in (await listed(stack)).values()] == [("cli", None)]
    # Nothing is left of it that would be in the way of the next.
    assert (await stack("rotate", "api_keys", "cli", "--reason", "now it will")).code == 0
    assert (await recipe.rotate_one(keys, CLI)).said == "version 3 is in use"
    assert places.cli_key.read_text(encoding="utf-8").strip() != old


async def test_who_may_not_rotate_gives_nothing_up_and_begins_nothing(front: Front) -> None:  # noqa: F811
    wanted = {"kind": "jwt_keys", "subject": "gateway", "reason": "a laptop was lost"}
    given_up = {"kind": "jwt_keys", "owner": "gateway", "reason": "a laptop was lost"}
    operator, viewer = await a_key(front, "olga", ("operator", None)), await a_key(front, "vera", ("viewer", None))

    async def begin(who: dict[str, str] | None, **more: str) -> tuple[int, str]:
        client, headers = (front.anybody, who) if who is not None else (front.admin, None)
        answer = await client.post("/api/v1/rotations", json={**wanted, **more}, headers=headers)
        return answer.status_code, answer.json().get("type", "").rpartition(":")[2]

    assert await begin({}) == (401, "sign-in-needed")
    # `rotation.jwt_keys.who_may` leaves it to admins.
    assert [await begin(viewer), await begin(operator)] == [(403, "not-allowed")] * 2
    assert await begin(None, kind="locks") == (404, "no-such-kind")
    assert await begin(None, subject="another") == (404, "no-such-credential")
    assert await begin(None, reason="") == (422, "invalid-request")
    await front.call("GET", "/credentials/plan")
    assert await begin(None) == (201, "")
    assert await begin(None) == (409, "not-now")
    for who, status in ((viewer, 403), (operator, 403), ({}, 401)):
        answer = await front.anybody.post("/api/v1/credentials/abandon", json=given_up, headers=who)
        assert answer.status_code == status
    answer = await front.call("POST", "/credentials/abandon", json=given_up)
    assert (answer.status_code, answer.json()) == (202, {"kind": "jwt_keys", "owner": "gateway", "version": 2})
