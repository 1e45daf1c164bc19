"""Prefect's websockets behind our logins, each end a real socket."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from config.places import Places
from deployments.gateway.app import create_app
from deployments.gateway.prefect_routes import WEBSOCKET, table
from tasks.domain.roles import system
from tasks.operations import api_keys, users
from tests.gateway.prefect_matrix import MAY, example
from tests.gateway.prefect_recorder import AUTH, Recorder
from tests.prefect_stand_in import listening
from tests.waiting import until

Sessions = async_sessionmaker[AsyncSession]
OUT, IN = "/api/events/out", "/api/events/in"
FILTER = {"type": "filter", "filter": {}}
SOCKETS = [route for route in table() if route.method == WEBSOCKET]


@pytest.fixture
def places(places: Places) -> Places:
    """Websockets are looked at again at once."""
    gateway = places.settings.gateway.model_copy(update={"recheck_seconds": 0.2})
    return Places(places.settings.model_copy(update={"gateway": gateway}))


@pytest.fixture
async def gateway(places: Places) -> AsyncIterator[FastAPI]:
    app = create_app(places)
    async with listening(app, places.settings.gateway.port or 0):
        await until(lambda: app.state.opening.ready)
        yield app


@pytest.fixture
async def prefect(gateway: FastAPI, places: Places) -> AsyncIterator[Recorder]:
    async with Recorder().running(places) as server:
        yield server


@pytest.fixture
async def keys(gateway: FastAPI) -> Mapping[str, str]:
    at = gateway.state.opening.ready.connections
    made = {}
    for role in MAY:
        user_id = (await users.add(at, f"the-{role}", None, system("tests"))).user.id
        await users.assign(at, user_id, role, None, None, system("tests"))
        made[role] = (await api_keys.create(at, user_id, "key", system("tests"))).secret
    return made


def socket(places: Places, path: str, **what: Any) -> connect:
    what.setdefault("subprotocols", ["prefect"])
    return connect(f"ws{places.gateway.removeprefix('http')}{path}", **what)


async def signed_in(connection: ClientConnection, key: str) -> Any:
    await connection.send(json.dumps({"type": "auth", "token": key}))
    return json.loads(await connection.recv())


async def closed(connection: ClientConnection) -> tuple[int, str]:
    """How the other end closed it."""
    with pytest.raises(ConnectionClosed):
        while True:
            await connection.recv()
    assert connection.close_code is not None
    return connection.close_code, connection.close_reason or ""


@pytest.mark.promise("A1")
@pytest.mark.parametrize("route", SOCKETS, ids=lambda route: route.path)
@pytest.mark.parametrize("role", MAY)
async def test_a_websocket_is_for_who_has_its_right(
    places: Places, prefect: Recorder, keys: Mapping[str, str], role: str, route: Any
) -> None:
    async with socket(places, example(route.path)) as connection:
        if route.classes & MAY[role]:
            assert await signed_in(connection, keys[role]) == {"type": "auth_success"}
            # The credentials of the caller stay here, and Prefect gets its own.
            assert prefect.said == [{"type": "auth", "token": AUTH}]
            await connection.send(json.dumps(FILTER))
            assert json.loads(await connection.recv()) == {"type": "heard"}
        else:
            with pytest.raises(ConnectionClosed):
                await signed_in(connection, keys[role])
            assert connection.close_code == 1008
            assert prefect.said == []


@pytest.mark.promise("A1")
@pytest.mark.parametrize(
    "message", [{"type": "event", "event": {}}, {"event": "prefect.flow-run.Completed"}, [], "x", None, FILTER]
)
async def test_who_only_looks_cannot_act(
    places: Places, prefect: Recorder, keys: Mapping[str, str], message: Any
) -> None:
    async with socket(places, OUT) as connection:
        await signed_in(connection, keys["viewer"])
        if message == FILTER:
            await connection.send(json.dumps(FILTER))
            await connection.recv()
        await connection.send(json.dumps(message))
        code, _ = await closed(connection)
    assert code == 1008
    assert [said for said in prefect.said if said["type"] not in ("auth", "filter")] == []
    assert len(prefect.said) <= 2


@pytest.mark.parametrize("token", ["", "a:b", "no-key", None, 7, {"a": 1}, AUTH])
async def test_a_stranger_gets_nothing(places: Places, prefect: Recorder, token: Any) -> None:
    """Not with Prefect's own string either: it is for the gateway alone."""
    async with socket(places, OUT) as connection:
        await connection.send(json.dumps({"type": "auth", "token": token}))
        code, reason = await closed(connection)
    assert code == 1008 and "sign in" in reason
    assert prefect.said == []


@pytest.mark.parametrize("first", [json.dumps(FILTER), "{", "[]", '"auth"'])
async def test_the_first_message_says_who_it_is(places: Places, prefect: Recorder, first: str) -> None:
    async with socket(places, OUT) as connection:
        await connection.send(first)
        assert (await closed(connection))[0] == 1008
    assert prefect.said == []


@pytest.mark.promise("A1")
@pytest.mark.parametrize(
    "path", ["/api/events/other", "//api/events/out", "/api/events/out/", "/api/%65vents/%2e./out"]
)
async def test_there_is_no_other_websocket(places: Places, prefect: Recorder, path: str) -> None:
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        async with socket(places, path) as connection:
            await connection.recv()
    assert prefect.said == []


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:1"])
async def test_a_page_of_another_site_does_not_get_in(
    places: Places, prefect: Recorder, keys: Mapping[str, str], origin: str
) -> None:
    """Not even with a key that it knows."""
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        async with socket(places, OUT, origin=origin) as connection:
            await signed_in(connection, keys["viewer"])
    async with socket(places, OUT, origin=places.gateway) as connection:
        assert await signed_in(connection, keys["viewer"]) == {"type": "auth_success"}


async def test_a_websocket_ends_with_the_key(
    places: Places, prefect: Recorder, keys: Mapping[str, str], sessions: Sessions
) -> None:
    async with socket(places, OUT) as connection:
        await signed_in(connection, keys["viewer"])
        async with sessions.begin() as session:
            await session.execute(text("UPDATE api_keys SET revoked_at = now()"))
        code, reason = await closed(connection)
    assert code == 1008 and "no longer good" in reason


@pytest.fixture
def seldom(places: Places) -> Places:
    """Websockets are not looked at again while a test runs, but for a date that is known."""
    gateway = places.settings.gateway.model_copy(update={"recheck_seconds": 300})
    return Places(places.settings.model_copy(update={"gateway": gateway}))


@pytest.mark.parametrize(
    "ends",
    [
        "UPDATE api_keys SET ends_at = now() + interval '3 s' WHERE user_id = :id",
        "UPDATE role_bindings SET ends_at = now() + interval '3 s' WHERE user_id = :id",
    ],
    ids=["key", "role"],
)
async def test_a_websocket_ends_at_the_date_of_its_key_or_role(seldom: Places, ends: str) -> None:
    app = create_app(seldom)
    async with listening(app, seldom.settings.gateway.port or 0), Recorder().running(seldom):
        at = (await until(lambda: app.state.opening.ready)).connections
        user_id = (await users.add(at, "olga", None, system("tests"))).user.id
        await users.assign(at, user_id, "viewer", None, None, system("tests"))
        key = (await api_keys.create(at, user_id, "key", system("tests"))).secret
        async with at.transaction() as session:
            await session.execute(text(ends), {"id": user_id})
        async with socket(seldom, OUT) as connection:
            await signed_in(connection, key)
            begun = time.monotonic()
            code, reason = await closed(connection)
    assert (code, time.monotonic() - begun < 60) == (1008, True)
    assert "no longer good" in reason


async def test_a_worker_sets_no_job_template_and_no_data(
    places: Places, prefect: Recorder, keys: Mapping[str, str]
) -> None:
    """A worker's hello may make a pool and say what it runs; an event may bring results."""
    hello = {
        "type": "worker.hello.v1",
        "payload": {
            "worker_name": "w",
            "create_pool_if_not_found": True,
            "default_base_job_template": {"job_configuration": {"command": "id"}},
        },
    }
    async with socket(places, "/api/work_pools/example/workers/connect") as connection:
        await signed_in(connection, keys["worker"])
        await connection.send(json.dumps(hello))
        await connection.recv()
    assert prefect.said[-1]["payload"] == {
        "worker_name": "w",
        "create_pool_if_not_found": False,
        "default_base_job_template": {},
    }
    event = {
        "event": "prefect.task-run.Completed",
        "payload": {
            "validated_state": {"type": "COMPLETED", "data": {"blob": "gASV"}},
            "task_run": {"name": "a", "state": {"data": {"blob": "gASV"}}},
        },
    }
    async with socket(places, IN) as connection:
        await signed_in(connection, keys["worker"])
        await connection.send(json.dumps(event))
        await connection.recv()
    assert prefect.said[-1]["payload"] == {"validated_state": {"type": "COMPLETED"}, "task_run": {"name": "a"}}


async def test_prefect_away_closes_with_try_again_later(
    places: Places, gateway: FastAPI, keys: Mapping[str, str]
) -> None:
    async with socket(places, OUT) as connection:
        await connection.send(json.dumps({"type": "auth", "token": keys["viewer"]}))
        assert (await closed(connection))[0] == 1013


async def test_without_its_subprotocol_there_is_no_websocket(places: Places, prefect: Recorder) -> None:
    key = places.cli_key.read_text(encoding="utf-8")
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        async with socket(places, OUT, subprotocols=None) as connection:
            await signed_in(connection, key)
    assert prefect.said == []
