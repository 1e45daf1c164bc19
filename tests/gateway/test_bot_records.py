"""Encrypted data of bots, over a real vault and a real database."""

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from blocks.postgres.engine import Server
from tasks.connections import Connections
from tasks.domain.roles import system
from tasks.operations import bot_records
from tasks.operations.bot_records import DamagedError, ForgottenError, NoSuchRecordError
from tests.gateway.conftest import Front, a_key
from tests.makers import stored_bots
from tests.postgres_process import PostgresProcess

Sessions = async_sessionmaker[AsyncSession]
US = system("tests")
PLANTED = "planted-7f3a91-do-not-find-me"


@pytest.fixture
async def at(front: Front, sessions: Sessions) -> Connections:
    """The gateway's own connections, and two bots."""
    async with sessions.begin() as session:
        await stored_bots(session, 2)
    found: Connections = front.app.state.opening.ready.connections
    return found


@pytest.mark.parametrize("value", [{"phone": PLANTED}, [1, None, "ü"], b"\x00\xff" + PLANTED.encode(), "", b""])
async def test_a_value_comes_back_as_it_was_and_lies_sealed(at: Connections, sessions: Sessions, value: Any) -> None:
    stored = await bot_records.store(at, "bot_0", "contact", value, US)
    assert (await bot_records.reveal(at, "bot_0", "contact", None, "a test", US)).value == value
    sealed = await bot_records.retrieve(at, "bot_0", "contact", stored.version, US)
    assert sealed.wrapped_key.startswith("vault:v1:")
    async with sessions.begin() as session:
        rows = (await session.execute(text("SELECT * FROM bot_records, audit_log"))).all()
    assert PLANTED not in str(rows)
    assert PLANTED.encode() not in bytes(sealed.ciphertext)


async def test_versions_stand_side_by_side_and_each_has_a_key_of_its_own(at: Connections) -> None:
    for number in (1, 2):
        assert (await bot_records.store(at, "bot_0", "contact", number, US)).version == number
    first, newest = [await bot_records.retrieve(at, "bot_0", "contact", version, US) for version in (1, None)]
    assert (first.version, newest.version) == (1, 2)
    assert first.wrapped_key != newest.wrapped_key
    assert (await bot_records.reveal(at, "bot_0", "contact", 1, "a test", US)).value == 1
    with pytest.raises(NoSuchRecordError):
        await bot_records.retrieve(at, "bot_0", "contact", 3, US)


@pytest.mark.promise("A3")
async def test_a_reveal_is_audited_with_its_reason_before_anything_is_given_out(
    at: Connections, sessions: Sessions
) -> None:
    await bot_records.store(at, "bot_0", "contact", 1, US)
    async with sessions.begin() as session:
        await session.execute(text("UPDATE bot_records SET ciphertext = ciphertext || 'x'::bytea"))
    with pytest.raises(DamagedError):
        await bot_records.reveal(at, "bot_0", "contact", None, "a complaint", US)
    async with sessions.begin() as session:
        found = await session.execute(
            text("SELECT details ->> 'reason' FROM audit_log WHERE action = 'botdata.reveal'")
        )
        assert found.scalar_one() == "a complaint"


async def test_a_record_that_was_moved_to_another_bot_does_not_open(at: Connections, sessions: Sessions) -> None:
    await bot_records.store(at, "bot_0", "contact", 1, US)
    await bot_records.store(at, "bot_1", "other", 2, US)
    async with sessions.begin() as session:
        await session.execute(
            text("UPDATE bot_records SET bot_id = (SELECT id FROM bots WHERE handle = 'bot_1') WHERE name = 'contact'")
        )
    with pytest.raises(DamagedError):
        await bot_records.reveal(at, "bot_1", "contact", None, "a test", US)


async def test_a_bot_that_was_forgotten_is_unreadable_in_every_copy(
    at: Connections, sessions: Sessions, postgres: PostgresProcess, database: Server
) -> None:
    await bot_records.store(at, "bot_0", "contact", {"phone": PLANTED}, US)
    await bot_records.store(at, "bot_1", "contact", "kept", US)
    copy = await bot_records.retrieve(at, "bot_0", "contact", None, US)
    done = await bot_records.forget(at, "bot_0", "the owner asked", US)
    assert (done.records, done.reason) == (1, "the owner asked")
    assert await bot_records.forget(at, "bot_0", "again", US) == done
    for attempt in (
        bot_records.reveal(at, "bot_0", "contact", None, "a test", US),
        bot_records.store(at, "bot_0", "contact", 1, US),
    ):
        with pytest.raises(ForgottenError, match="was made unreadable by tests"):
            await attempt
    # A copy of the rows from before, brought back as a restore would: the key they need is nowhere.
    with psycopg.connect(postgres.conninfo(database.database)) as owner:
        owner.execute("DELETE FROM bot_forgettings")
    async with sessions.begin() as session:
        await session.execute(
            text(
                "INSERT INTO bot_records (bot_id, name, version, format, wrapped_key, nonce, ciphertext, created_by)"
                " VALUES (:bot_id, :name, :version, :format, :wrapped_key, :nonce, :ciphertext, 'restore')"
            ),
            {name: getattr(copy, name) for name in "bot_id name version format wrapped_key nonce ciphertext".split()},
        )
    with pytest.raises(ForgottenError):
        await bot_records.reveal(at, "bot_0", "contact", None, "a test", US)
    assert (await bot_records.reveal(at, "bot_1", "contact", None, "a test", US)).value == "kept"


async def test_ten_at_once_agree_on_the_key_of_the_bot(at: Connections) -> None:
    await asyncio.gather(*(bot_records.store(at, "bot_0", f"name-{number}", number, US) for number in range(10)))
    found = [(await bot_records.reveal(at, "bot_0", f"name-{n}", None, "a test", US)).value for n in range(10)]
    assert found == list(range(10))


async def test_a_caller_stores_takes_out_sealed_and_opens_with_a_reason(at: Connections, front: Front) -> None:
    for body, opened in (
        ({"data": {"phone": PLANTED}}, {"data": {"phone": PLANTED}, "data_base64": None}),
        ({"data_base64": "AAH/"}, {"data": None, "data_base64": "AAH/"}),
    ):
        stored = await front.call("POST", "/botdata/store", json={"bot_id": "@bot_0", "name": "contact", **body})
        assert stored.status_code == 201
        version = stored.json()["version"]
        sealed = await front.call("GET", "/botdata/retrieve", params={"bot_id": "bot_0", "name": "contact"})
        assert (sealed.status_code, sealed.json()["version"]) == (200, version)
        assert PLANTED not in sealed.text
        asked = {"bot_id": "bot_0", "name": "contact", "version": version, "reason": "a complaint"}
        revealed = await front.call("POST", "/botdata/reveal", json=asked)
        assert revealed.json() == {"name": "contact", "version": version, **opened}
    assert (await front.call("POST", "/botdata/reveal", json={"bot_id": "bot_0"})).status_code == 422
    missing = await front.call("GET", "/botdata/retrieve", params={"bot_id": "bot_0", "name": "other"})
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:vivesphere:problem:no-such-record")
    by_id = str((await front.call("GET", "/bots/bot_0")).json()["id"])
    found = await front.call("GET", "/botdata/retrieve", params={"bot_id": by_id, "name": "contact"})
    assert found.status_code == 200
    both = {"bot_id": "bot_0", "data": 1, "data_base64": "AA=="}
    assert (await front.call("POST", "/botdata/store", json=both)).status_code == 422
    assert (await front.call("POST", "/bots/bot_0/forget", json={"reason": "asked to"})).json()["records"] == 2
    gone = await front.call("GET", "/botdata/retrieve", params={"bot_id": "bot_0", "name": "contact"})
    assert (gone.status_code, gone.json()["type"]) == (410, "urn:vivesphere:problem:forgotten")


async def test_a_label_bounds_whose_data_is_stored_and_opened(
    at: Connections, front: Front, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        await session.execute(text("UPDATE bots SET labels = '{weather}' WHERE handle = 'bot_0'"))
    key = await a_key(front, "ada", ("admin", "weather"))
    answers = [
        await front.anybody.post("/api/v1/botdata/store", json={"bot_id": handle, "data": 1}, headers=key)
        for handle in ("bot_0", "bot_1")
    ]
    assert [answer.status_code for answer in answers] == [201, 404]
