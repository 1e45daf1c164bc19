"""Bots, apps and personas over the API, and an owner who comes back from X."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from blocks.x.rehearsal import grant
from config.places import Places
from config.settings import Settings
from tests.gateway.conftest import Front, served
from tests.makers import a_bot, a_persona
from tests.openbao_process import OpenBaoProcess
from tests.x_sandbox_process import XSandboxProcess

Sessions = async_sessionmaker[AsyncSession]


def files(*handles: str) -> list[dict[str, object]]:
    return [a_bot(handle, persona=a_persona(name=handle)).model_dump(mode="json") for handle in handles]


async def test_two_imports_of_the_same_files_change_nothing_twice(front: Front) -> None:
    looked = await front.call("POST", "/bots/import", json=files("one", "two"), params={"dry_run": True})
    assert [change["change"] for change in looked.json()] == ["new", "new"]
    assert (await front.call("GET", "/bots")).json() == []
    first = await front.call("POST", "/bots/import", json=files("one", "two"))
    second = await front.call("POST", "/bots/import", json=files("one", "two"))
    assert [change["change"] for change in first.json()] == ["new", "new"]
    assert [change["change"] for change in second.json()] == ["unchanged", "unchanged"]
    assert [bot["revision"] for bot in (await front.call("GET", "/bots")).json()] == [1, 1]
    assert [persona["name"] for persona in (await front.call("GET", "/personas")).json()] == ["one", "two"]


async def test_a_bot_that_cannot_be_is_refused_with_its_reason_and_stops_no_other(front: Front) -> None:
    wanted = [*files("one"), {**files("two")[0], "app": "nowhere"}]
    answer = await front.call("POST", "/bots/import", json=wanted)
    assert [(change["change"], change["reason"]) for change in answer.json()] == [
        ("new", None),
        ("refused", "there is no app 'nowhere'; `vivesphere apps list` shows them all"),
    ]


async def test_bots_are_found_by_state_label_and_handle(front: Front) -> None:
    await front.call("POST", "/bots/import", json=[*files("one"), {**files("two")[0], "labels": ["city"]}])
    assert [bot["handle"] for bot in (await front.call("GET", "/bots", params={"label": "city"})).json()] == ["two"]
    assert (await front.call("GET", "/bots", params={"state": "active"})).json() == []
    assert (await front.call("GET", "/bots/@ONE")).json()["handle"] == "one"
    missing = await front.call("GET", "/bots/three")
    assert missing.status_code == 404
    assert missing.json() == {
        "type": "urn:vivesphere:problem:no-such-bot",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no bot @three",
    }


async def test_a_file_with_faults_names_each_field(front: Front) -> None:
    answer = await front.call("POST", "/bots/import", json=[{**files("one")[0], "time_zone": "Mars", "x": 1}])
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"body.0.time_zone", "body.0.x"}


async def test_a_client_secret_goes_to_the_vault_and_nowhere_else(
    front: Front, sessions: Sessions, vault: OpenBaoProcess
) -> None:
    app = {"name": "main", "use_case": "Service bots", "client_id": "id", "client_secret": "planted-client-secret"}
    stored = await front.call("POST", "/apps", json={**app, "stage": "production"})
    assert stored.status_code == 201
    assert stored.json()["redirect_uri"] == f"{front.places.gateway}/oauth/callback"
    kept = vault.kv("gateway").read(f"apps/{stored.json()['id']}/client")
    assert kept.data["client_secret"] == "planted-client-secret"  # pragma: allowlist secret
    listed = await front.call("GET", "/apps")
    assert "planted" not in listed.text
    second = await front.call("POST", "/apps", json={**app, "name": "other", "stage": "production"})
    assert (second.status_code, second.json()["type"]) == (409, "urn:vivesphere:problem:use-case-taken")
    async with sessions.begin() as session:
        for table in ("x_apps", "credentials", "activity_log"):
            rows = await session.execute(text(f"SELECT t::text FROM {table} AS t"))  # noqa: S608
            assert "planted" not in "".join(row[0] for row in rows)


async def test_a_login_needs_an_app(front: Front) -> None:
    await front.call("POST", "/bots/import", json=files("one"))
    answer = await front.call("POST", "/bots/one/login")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:vivesphere:problem:cannot-connect")


@pytest.fixture
def with_x(places: Places, tmp_path: Path) -> object:
    """Settings whose X is a sandbox of this test's own."""
    folder = tmp_path / "x"
    folder.mkdir()
    with XSandboxProcess(folder) as x:
        wanted = places.settings.model_dump()
        yield x, Places(Settings(**{**wanted, "x": {**wanted["x"], "sandbox_port": x.port}}))


async def test_an_owner_who_grants_access_connects_his_account_once(with_x: tuple[XSandboxProcess, Places]) -> None:
    x, places = with_x
    async with served(places) as front:
        callback = f"{places.gateway}/oauth/callback"
        app = x.app("app", redirect_uri=callback)
        secrets = {"client_id": app["client_id"], "client_secret": app["client_secret"]}
        await front.call("POST", "/apps", json={"name": "main", "use_case": "Service", **secrets})
        await front.call("POST", "/bots/import", json=files("city_weather"))
        link = (await front.call("POST", "/bots/city_weather/login")).json()
        state, code = await grant(
            link["url"], username="city_weather", name="City weather", description="Automated by @vive_ops"
        )
        given = {"state": state, "code": code.get_secret_value()}
        page = await front.anybody.get(callback, params=given)
        assert (page.status_code, "@city_weather is connected" in page.text) == (200, True)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["referrer-policy"] == "no-referrer"
        assert (await front.call("GET", "/bots/city_weather")).json()["state"] == "active"
        again = await front.anybody.get(callback, params=given)
        assert (again.status_code, "unknown, used or too old" in again.text) == (409, True)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"error": "<b>access_denied</b>", "state": "x"}, "access was not granted"),
        ({"state": "x"}, "only when X itself leads here"),
        ({}, "only when X itself leads here"),
    ],
)
async def test_an_owner_who_comes_back_without_a_code_is_told_what_to_do(
    front: Front, query: dict[str, str], said: str
) -> None:
    page: httpx.Response = await front.anybody.get("/oauth/callback", params=query)
    assert (page.status_code, said in page.text, "<b>" in page.text) == (400, True, False)
    assert "vivesphere bots login" in page.text
