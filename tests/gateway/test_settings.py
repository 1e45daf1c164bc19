"""Settings over the API: bounds, marks, history, rollback, two writers, and processes that take them over."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from blocks.postgres.engine import Server
from config import overrides
from config.loading import Loaded
from config.places import Places
from config.settings import Postgres, Settings
from deployments.local import doctor, status
from deployments.local.status import PartStatus
from tasks.connections import open_connections
from tests.gateway.conftest import Front, a_key, without_rights
from tests.postgres_process import PostgresProcess
from tests.waiting import until

Sessions = async_sessionmaker[AsyncSession]
PROBLEM = "urn:vivesphere:problem:"


async def change(front: Front, data: dict[str, Any], **more: Any) -> httpx.Response:
    headers = {"Content-Type": "application/json", **more.pop("headers", {})}
    body = json.dumps({"settings_data": data, **more})
    return await front.call("POST", "/config/update", content=body, headers=headers)


async def value(front: Front, key: str) -> tuple[Any, str]:
    found = (await front.call("GET", "/config/settings", params={"service_name": key.partition(".")[0]})).json()
    return next((row["value"], row["origin"]) for row in found["settings"] if row["key"] == key)


async def test_a_change_is_in_force_says_where_it_comes_from_and_can_be_taken_back(
    front: Front, sessions: Sessions
) -> None:
    assert await value(front, "posting.batch") == (100, "default")
    keyed = await change(front, {"posting": {"batch": 50}, "media": {"uploaders": 3}})
    assert (keyed.status_code, keyed.json()) == (200, {"status": "updated", "revision": 1})
    assert (await change(front, {"batch": 60}, service_name="posting", reason="try")).json()["revision"] == 2
    assert await value(front, "posting.batch") == (60, "override")
    back = await front.call("POST", "/config/rollback", json={"revision": 1})
    assert (back.json()["revision"], await value(front, "posting.batch")) == (3, (50, "override"))
    assert (await change(front, {"posting.batch": None})).json()["revision"] == 4
    assert await value(front, "posting.batch") == (100, "default")
    told = (await front.call("GET", "/config/history", params={"service_name": "posting"})).json()
    assert [(one["revision"], one["old"], one["new"], one["reason"]) for one in told] == [
        (4, 50, None, None),
        (3, 60, 50, None),
        (2, 50, 60, "try"),
        (1, None, 50, None),
    ]
    assert (await front.call("POST", "/config/rollback", json={"revision": 9})).status_code == 404
    async with sessions.begin() as session:
        noted = await session.execute(
            text("SELECT before, after FROM audit_log WHERE action = 'settings.update' AND details->>'revision' = '2'")
        )
        assert noted.one() == ({"value": 50}, {"value": 60})


async def test_what_is_wrong_is_named_and_nothing_of_it_is_stored(front: Front) -> None:
    for data, said in (
        ({"posting": {"batch": 50, "held": 0}}, "posting.held"),
        ({"posting": {"batch": "many"}}, "posting.batch"),
        ({"posting": {"batch": 50, "bach": 1}}, "posting.bach: there is no such setting"),
        ({"posting": {"\ud800": 1}}, r"posting.\ud800: there is no such setting"),
        ({"postgres": {"address": "elsewhere:5432"}}, "postgres.address: wiring"),
        ({"stack": {"ready_seconds": 30}}, "stack.ready_seconds: is read at `up` alone"),
        ({"x": {"client_secret": "hush"}}, "x.client_secret: a secret is a credential"),  # pragma: allowlist secret
        ({"x": {"settle_seconds": 61}}, "x.settle_seconds: policy is changed with a reason"),
    ):
        answer = await change(front, data)
        assert (answer.status_code, answer.json()["type"]) == (422, f"{PROBLEM}settings-refused"), data
        assert said in answer.json()["detail"]
        assert "hush" not in answer.text
    assert (await front.call("GET", "/config/settings")).json()["revision"] == 0
    assert (await front.call("GET", "/config/settings", params={"service_name": "none"})).status_code == 404


async def test_policy_is_an_admins_and_nothing_is_a_strangers(front: Front, sessions: Sessions) -> None:
    operator, viewer = await a_key(front, "tuner", ("operator", None)), await a_key(front, "looker", ("viewer", None))
    tuning = {"settings_data": {"posting": {"batch": 50}}}
    policy = {"settings_data": {"x": {"settle_seconds": 61}}, "reason": "measured"}

    async def ask(body: dict[str, Any], who: dict[str, str]) -> int:
        return (await front.anybody.post("/api/v1/config/update", json=body, headers=who)).status_code

    assert [await ask(tuning, who) for who in ({}, viewer, operator)] == [401, 403, 200]
    assert await ask(policy, operator) == 403
    assert (await front.call("POST", "/config/update", json=policy)).status_code == 200
    # Taking the admin's policy back is a change of policy too.
    undo = {"revision": 0, "reason": "mine"}
    answer = await front.anybody.post("/api/v1/config/rollback", json=undo, headers=operator)
    assert answer.status_code == 403
    nobody = await without_rights(front, sessions)
    assert (await nobody.get("/api/v1/config/settings")).status_code == 403


async def test_of_two_writers_at_one_revision_one_is_told_to_look_again(front: Front) -> None:
    at = {"headers": {"If-Match": '"0"'}}
    answers = await asyncio.gather(*(change(front, {"posting": {"batch": n}}, **at) for n in (51, 52, 53)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412]
    stands = await front.call("GET", "/config/settings")
    assert (stands.headers["etag"], len((await front.call("GET", "/config/history")).json())) == ('"1"', 1)
    assert (await change(front, {"posting": {"batch": 9}}, headers={"If-Match": "abc"})).status_code == 412


async def test_a_running_process_takes_a_change_over_unasked(front: Front) -> None:
    async with open_connections("gateway", front.places) as at, at.following():
        assert at.places.settings.posting.batch == 100
        await change(front, {"posting": {"batch": 50}})
        await until(lambda: at.places.settings.posting.batch == 50)
        await until(lambda: front.app.state.opening.ready.connections.places.settings.posting.batch == 50)
        assert at.places.settings.postgres == front.places.settings.postgres
        await change(front, {"posting": {"lanes": 7}})
        await until(lambda: at.x.lanes_free == 7)


async def test_the_gateways_own_limits_follow_too(front: Front) -> None:
    await change(front, {"gateway": {"own_per_minute": 500}})
    policy = '"own";q=500;w=60'

    async def told() -> bool:
        return (await front.call("GET", "/config/history")).headers["ratelimit-policy"] == policy

    await until(told, within_seconds=10)


async def test_a_value_that_this_release_refuses_is_left_out_and_named(front: Front, sessions: Sessions) -> None:
    """As if a release had drawn the bound closer, or dropped a setting."""
    await change(front, {"posting": {"batch": 50, "held": 70}})
    async with sessions.begin() as session:
        await session.execute(text("INSERT INTO settings_revisions (revision, actor) VALUES (2, 'a release ago')"))
        changed = "INSERT INTO settings_changes (revision, key, new) VALUES (2, :key, CAST(:new AS jsonb))"
        for key, new in (("posting.batch", "100000"), ("posting.gone", "5")):
            await session.execute(text(changed), {"key": key, "new": new})
    async with open_connections("gateway", front.places) as at, at.following():
        posting = at.places.settings.posting
        assert (posting.batch, posting.held) == (100, 70)
    ignored = (await front.call("GET", "/config/settings")).json()["ignored"]
    assert [line.partition(" ")[0] for line in ignored] == ["posting.batch", "posting.gone"]
    assert "less than or equal to 1000" in ignored[0]
    # Both can be taken away.
    assert (await change(front, {"posting.batch": None, "posting.gone": None})).status_code == 200
    assert (await front.call("GET", "/config/settings")).json()["ignored"] == []


async def test_doctor_and_status_name_what_this_release_refuses(
    database: Server, sessions: Sessions, postgres: PostgresProcess, tmp_path: Path
) -> None:
    password = tmp_path / "admin.password"
    password.write_text(postgres.password, encoding="utf-8")
    address = f"{database.host}:{database.port}"
    places = Places(
        Settings(
            home=tmp_path,
            postgres=Postgres(address=address, database=database.database, tls="disable", admin_password_file=password),
        )
    )
    [fine] = doctor.overrides(places)
    assert fine.well
    async with sessions.begin() as session:
        await session.execute(text("INSERT INTO settings_revisions (revision, actor) VALUES (1, 'a release ago')"))
        for key in ("posting.batch", "posting.lanes"):
            changed = "INSERT INTO settings_changes (revision, key, new) VALUES (1, :key, CAST(:new AS jsonb))"
            new = "100000" if key == "posting.batch" else "7"
            await session.execute(text(changed), {"key": key, "new": new})
    [finding] = doctor.overrides(places)
    assert finding.said.startswith("posting.batch = 100000 of revision 1 is ignored: ")
    assert "vivesphere settings set posting.batch --unset" in finding.fix
    up = PartStatus("postgres", "elsewhere", None, address, None, "")
    [line] = status.ignored_overrides(places, [up])
    assert line == f"setting {finding.said}; {finding.fix}"
    # Nobody waits for a database that is away, nor falls over one without our tables.
    assert status.ignored_overrides(places, [replace(up, state="unreachable")]) == []
    assert status.ignored_overrides(of_no_release(places), [up]) == []


def of_no_release(places: Places) -> Places:
    bare = places.settings.postgres.model_copy(update={"database": "postgres"})
    return Places(places.settings.model_copy(update={"postgres": bare}))


def test_wiring_in_the_table_is_never_laid_over() -> None:
    found = overrides.overlay(Loaded(Settings(), {}), {"postgres.port": (1, 1)})
    assert (found.loaded.settings.postgres.port, len(found.ignored)) == (None, 1)
