"""The endpoints that programs are promised: each by what it answers, to whom, and what it refuses."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jsonschema
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from blocks.postgres.engine import Login
from blocks.vault.errors import Denied
from blocks.x.signing import OAuth1
from config.places import Places
from config.settings import Settings
from tasks.connections import open_connections
from tasks.domain.credentials import access_path, refresh_path
from tasks.operations import access_tokens
from tasks.operations.rotation import x_user_tokens
from tests.gateway.conftest import Front, a_key, a_user, let_admin_choose, served
from tests.openbao_process import OpenBaoProcess
from tests.postgres_process import PostgresProcess
from tests.x_sandbox_process import XSandboxProcess

Sessions = async_sessionmaker[AsyncSession]
LATER = (datetime.now(UTC) + timedelta(days=90)).isoformat()
PLANTED = "planted-secret-of-a-service"


@dataclass(frozen=True)
class Promised:
    """One endpoint: a request that it takes, one that it does not, and a role that may not ask."""

    method: str
    path: str
    status: int
    right: Mapping[str, Any] = field(default_factory=dict)
    wrong: Mapping[str, Any] | None = field(default_factory=dict)
    without: str | None = "worker"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


PROMISED = (
    Promised("GET", "/bots/list", 200, wrong={"params": {"user_id": "nobody"}}),
    Promised(
        "POST", "/bots/create", 201, {"json": {"bot_name": "tram_line_9"}}, {"json": {"bot_name": "no name"}}, "viewer"
    ),
    Promised(
        "POST",
        "/personas/create",
        201,
        {"json": {"name": "Harbour", "tone": "dry", "interests": ["tides"]}},
        {"json": {"name": "Harbour", "tone": "", "interests": []}},
        "viewer",
    ),
    Promised(
        "POST",
        "/apikeys/store",
        201,
        {"json": {"name": "newsroom", "service": "webhook", "secret": PLANTED, "expires_at": LATER}},
        {"json": {"name": "../bots", "service": "webhook", "secret": PLANTED}},
        "viewer",
    ),
    Promised(
        "POST",
        "/logs/submit",
        202,
        {"json": {"log_type": "user_activity", "log_data": {"event": "feed read"}}},
        {"json": {"log_type": "gossip", "log_data": {}}},
        None,
    ),
    Promised("GET", "/logs", 200, {"params": {"text": "admin"}}, {"params": {"cursor": "x"}}),
    Promised(
        "POST", "/roles/assign", 200, {"json": {"role": "viewer", "label": "city", "ends_at": LATER}}, {}, "operator"
    ),
)


def answers(front: Front, one: Promised) -> Mapping[str, Any]:
    """What the OpenAPI document says of an endpoint's answers."""
    document = front.app.openapi()
    said: Mapping[str, Any] = document["paths"][f"/api/v1{one.path}"][one.method.lower()]["responses"]
    return said


def fits(front: Front, one: Promised, status: int, body: Any) -> None:
    content = answers(front, one)[str(status)]["content"]
    [media] = content.values()
    schema = {**media["schema"], "components": front.app.openapi()["components"]}
    jsonschema.validate(body, json.loads(json.dumps(schema)))


@pytest.mark.parametrize("one", PROMISED, ids=str)
async def test_an_endpoint_takes_what_is_right_and_names_what_is_wrong(front: Front, one: Promised) -> None:
    given = dict(one.right)
    if one.path == "/roles/assign":
        given["json"] = {**given["json"], "user_id": (await a_user(front, "anna"))["id"]}
    answer = await front.call(one.method, one.path, **given)
    assert answer.status_code == one.status, answer.text
    assert PLANTED not in answer.text
    fits(front, one, one.status, answer.json())
    wrong = await front.call(one.method, one.path, **(one.wrong or {}))
    assert (wrong.status_code, wrong.headers["content-type"]) == (422, "application/problem+json")
    assert wrong.json()["type"] == "urn:vivesphere:problem:invalid-request"
    assert PLANTED not in wrong.text


@pytest.mark.parametrize("one", PROMISED, ids=str)
async def test_an_endpoint_knows_no_stranger_and_asks_for_its_role(front: Front, one: Promised) -> None:
    stranger = await front.anybody.request(one.method, f"/api/v1{one.path}", **one.right)
    assert (stranger.status_code, stranger.headers["www-authenticate"]) == (401, "Bearer")
    if one.without:
        header = await a_key(front, "bert", (one.without, None))
        refused = await front.anybody.request(one.method, f"/api/v1{one.path}", headers=header, **one.right)
        assert refused.status_code == 403, refused.text
    nobody = await a_key(front, "nora")
    assert (
        await front.anybody.request(one.method, f"/api/v1{one.path}", headers=nobody, **one.right)
    ).status_code == 403


async def test_a_bot_without_credentials_waits_for_its_owner_at_a_login_url(front: Front) -> None:
    lonely = (await front.call("POST", "/bots/create", json={"bot_name": "lonely"})).json()
    assert (lonely["state"], lonely["login_url"]) == ("needs_login", None)
    assert "vivesphere apps add" in lonely["said"]
    await front.call("POST", "/apps", json={"name": "main", "use_case": "Service", "client_id": "id"})
    made = await front.call("POST", "/bots/create", json={"bot_name": "@tram_line_9", "operator_handle": "vive_ops"})
    assert made.headers["location"] == "/api/v1/bots/tram_line_9"
    bot = made.json()
    assert (bot["state"], bot["bot_name"]) == ("needs_login", "tram_line_9")
    assert bot["login_url"].startswith(front.places.x_authorize)
    shown = (await front.call("GET", "/bots/tram_line_9")).json()
    assert (shown["id"], shown["persona"], shown["operator_handle"]) == (bot["bot_id"], "tram_line_9", "vive_ops")
    again = await front.call("POST", "/bots/create", json={"bot_name": "TRAM_line_9"})
    assert (again.status_code, again.json()["type"]) == (409, "urn:vivesphere:problem:handle-taken")
    for wanted in ({"app": "nowhere"}, {"persona": "nobody"}):
        answer = await front.call("POST", "/bots/create", json={"bot_name": "other", **wanted})
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:vivesphere:problem:cannot-be-made")


async def test_bots_are_listed_for_their_owner_and_for_others_by_an_admin_alone(front: Front) -> None:
    user = await a_user(front, "anna", ("operator", None))
    key = (await front.call("POST", "/keys", json={"name": "tests", "user_id": user["id"]})).json()["key"]
    anna = {"Authorization": f"Bearer {key}"}
    for handle in ("one", "two", "three"):
        made = await front.anybody.post("/api/v1/bots/create", json={"bot_name": handle}, headers=anna)
        assert made.status_code == 201
    await front.call("POST", "/bots/create", json={"bot_name": "four"})
    own = await front.anybody.get("/api/v1/bots/list", headers=anna)
    assert [bot["handle"] for bot in own.json()] == ["one", "three", "two"]
    admins = await front.call("GET", "/bots/list")
    assert [bot["handle"] for bot in admins.json()] == ["four"]
    hers = await front.call("GET", "/bots/list", params={"user_id": user["id"]})
    assert [bot["handle"] for bot in hers.json()] == ["one", "three", "two"]
    admin_id = (await front.call("GET", "/users/admin")).json()["id"]
    foreign = await front.anybody.get("/api/v1/bots/list", params={"user_id": admin_id}, headers=anna)
    assert (foreign.status_code, foreign.json()["type"]) == (403, "urn:vivesphere:problem:not-allowed")


async def test_a_role_for_a_label_makes_bots_of_that_label_alone(front: Front) -> None:
    header = await a_key(front, "anna", ("operator", "city"))
    for labels, status in (([], 403), (["country"], 403), (["city", "country"], 403), (["city"], 201)):
        wanted = {"bot_name": "tram_line_9", "labels": labels}
        answer = await front.anybody.post("/api/v1/bots/create", json=wanted, headers=header)
        assert answer.status_code == status, answer.text


async def test_a_persona_is_made_once(front: Front) -> None:
    harbour = {"name": "Harbour", "tone": "dry", "interests": ["tides"], "languages": ["en", "de"]}
    first = await front.call("POST", "/personas/create", json=harbour)
    same = await front.call("POST", "/personas/create", json=harbour)
    other = await front.call("POST", "/personas/create", json={**harbour, "tone": "merry"})
    assert [first.status_code, same.status_code, other.status_code] == [201, 200, 409]
    assert first.json() == same.json()


async def test_a_service_key_goes_to_the_vault_and_nowhere_else(
    front: Front, sessions: Sessions, vault: OpenBaoProcess
) -> None:
    wanted = {"name": "newsroom", "service": "webhook", "secret": PLANTED}
    first = (await front.call("POST", "/apikeys/store", json=wanted)).json()
    second = (await front.call("POST", "/apikeys/store", json={**wanted, "secret": f"{PLANTED}-2"})).json()
    assert (second["id"], second["version"]) == (first["id"], first["version"] + 1)
    # The front door hands keys in and cannot read them back.
    with pytest.raises(Denied):
        vault.kv("gateway").read("services/newsroom")
    assert vault.kv("gateway").metadata("services/newsroom").version == second["version"]
    async with sessions.begin() as session:
        for table in ("credentials", "activity_log", "audit_log"):
            rows = await session.execute(text(f"SELECT t::text FROM {table} AS t"))  # noqa: S608
            assert PLANTED not in "".join(row[0] for row in rows)


async def test_a_token_that_is_looked_at_reaches_no_log(front: Front) -> None:
    await let_admin_choose(front)
    given = {"username": "admin", "password": "a lamp in every window"}  # pragma: allowlist secret
    token = (await front.anybody.post("/api/v1/auth/login", json=given)).json()["access_token"]
    valid = await front.anybody.get("/api/v1/auth/validate", params={"token": token})
    assert (valid.status_code, valid.json()["status"]) == (200, "valid")
    wrong = await front.anybody.get("/api/v1/auth/validate", params={"token": f"{token}x"})
    assert wrong.status_code == 401
    assert (await front.anybody.get("/api/v1/auth/validate")).status_code == 422
    lines = (await front.call("GET", "/logs", params={"text": token[:40]})).json()["lines"]
    assert lines == []
    for file in front.places.logs.glob("*"):
        assert token not in file.read_text(encoding="utf-8")


async def test_a_line_that_is_handed_in_is_found_without_what_looks_like_a_secret(front: Front) -> None:
    data = {
        "event": "feed read",
        "password": "planted-1",  # pragma: allowlist secret
        "headers": ["Authorization: Bearer planted-2"],
        "address": "https://example.org/feed?token=planted-3&page=2",
        "nested": {"client_secret": "planted-4", "items": 12},  # pragma: allowlist secret
        "key": "ghp_planted5abcdefghijklmnop",  # pragma: allowlist secret
    }
    for log_type in ("user_activity", "debug", "security"):
        answer = await front.call("POST", "/logs/submit", json={"log_type": log_type, "log_data": data})
        assert answer.status_code == 202
    found = (await front.call("GET", "/logs", params={"action": "logs.submit", "text": "feed read"})).json()["lines"]
    assert [line["category"] for line in found] == ["security", "debug", "activity"]
    assert {line["actor"] for line in found} == {"admin/cli"}
    assert "planted" not in json.dumps(found)
    assert found[0]["details"]["nested"]["items"] == 12
    large = await front.call("POST", "/logs/submit", json={"log_type": "debug", "log_data": {"x": "y" * 20_000}})
    assert (large.status_code, large.json()["type"]) == (413, "urn:vivesphere:problem:too-long")


async def test_the_log_is_searched_by_who_what_and_when_and_read_in_pages(front: Front) -> None:
    before = datetime.now(UTC).isoformat()
    for handle in ("one", "two", "three"):
        await front.call("POST", "/bots/create", json={"bot_name": handle, "labels": [f"l-{handle}"]})
    found = (await front.call("GET", "/logs", params={"action": "bots.*", "since": before})).json()["lines"]
    assert [line["subject"] for line in found] == ["three", "two", "one"]
    assert {(line["origin"], line["bot"]) for line in found} == {("audit", name) for name in ("one", "two", "three")}
    labelled = (await front.call("GET", "/logs", params={"label": "l-two"})).json()["lines"]
    assert [line["subject"] for line in labelled] == ["two"]
    assert (await front.call("GET", "/logs", params={"until": before, "action": "bots.*"})).json()["lines"] == []
    seen, cursor = [], None
    while True:
        page = (await front.call("GET", "/logs", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [(line["origin"], line["id"]) for line in page["lines"]]
        if not (cursor := page["next"]):
            break
    whole = (await front.call("GET", "/logs", params={"limit": 500})).json()["lines"]
    assert seen == [(line["origin"], line["id"]) for line in whole]
    assert len(set(seen)) == len(seen)


async def test_whose_role_is_bound_to_a_label_reads_lines_of_its_bots_and_his_own(front: Front) -> None:
    header = await a_key(front, "anna", ("operator", "city"))
    await front.call("POST", "/bots/create", json={"bot_name": "ours", "labels": ["city"]})
    await front.call("POST", "/bots/create", json={"bot_name": "theirs", "labels": ["country"]})
    line = {"log_type": "debug", "log_data": {"said": "mine"}}
    await front.anybody.post("/api/v1/logs/submit", json=line, headers=header)
    found = (await front.anybody.get("/api/v1/logs", headers=header)).json()["lines"]
    assert [(one["action"], one["bot"] or one["actor"]) for one in found] == [
        ("logs.submit", "anna/tests"),
        ("bots.new", "ours"),
    ]


async def test_a_list_comes_in_parts_that_name_the_next(front: Front) -> None:
    for number in range(5):
        await front.call("POST", "/bots/create", json={"bot_name": f"bot_{number}"})
    handles, path = [], "/bots?limit=2&state=needs_login"
    while path:
        answer = await front.call("GET", path)
        handles += [bot["handle"] for bot in answer.json()]
        path = answer.links["next"]["url"].removeprefix("/api/v1") if "next" in answer.links else ""
    assert handles == [f"bot_{number}" for number in range(5)]
    for name in ("anna", "bert", "carla"):
        await a_user(front, name, ("viewer", "city"))
    for listed, key in (("/users", "username"), ("/roles", "username"), ("/personas", "name")):
        first = await front.call("GET", listed, params={"limit": 2})
        following = await front.call("GET", first.links["next"]["url"].removeprefix("/api/v1"))
        names = [one[key] for one in [*first.json(), *following.json()]]
        assert len(names) == 4
        assert names == sorted(set(names))


@pytest.fixture
def with_x(places: Places, tmp_path: Path) -> Iterator[tuple[XSandboxProcess, Places]]:
    """An X of this test's own, and settings that name it."""
    folder = tmp_path / "x"
    folder.mkdir()
    with XSandboxProcess(folder) as x:
        wanted = places.settings.model_dump()
        yield x, Places(Settings(**{**wanted, "x": {**wanted["x"], "sandbox_port": x.port}}))


async def test_credentials_are_tried_on_x_and_go_where_posting_reads_them(
    with_x: tuple[XSandboxProcess, Places], vault: OpenBaoProcess, sessions: Sessions
) -> None:
    x, places = with_x
    made = x.app("app")
    [tokens] = x.tokens("tram_line_9")
    signed = x.oauth1_token("ferry_times")
    x.account("tram_line_9", description="Automated by @vive_ops")
    oauth2 = {name: tokens[name] for name in ("access_token", "refresh_token", "expires_in")}
    oauth1 = {
        "api_key": signed["consumer_key"],
        "api_key_secret": signed["consumer_secret"],
        "access_token": signed["access_token"],
        "access_token_secret": signed["access_token_secret"],
    }
    async with served(places) as front:
        app = {"name": "main", "use_case": "Service"}
        await front.call("POST", "/apps", json={**app, **{name: made[name] for name in ("client_id", "client_secret")}})
        tram = {"bot_name": "tram_line_9", "operator_handle": "vive_ops", "credentials": {"type": "oauth2", **oauth2}}
        first = await front.call("POST", "/bots/create", json=tram)
        ferry = {"bot_name": "ferry_times", "credentials": {"type": "oauth1", **oauth1}}
        second = await front.call("POST", "/bots/create", json=ferry)
        assert [first.status_code, second.status_code] == [201, 201], first.text + second.text
        assert {first.json()["state"], second.json()["state"]} == {"active"}
        assert first.json()["x_user_id"] == tokens["account_id"]
        shown = (await front.call("GET", "/bots/tram_line_9")).json()
        assert (shown["bio_names_operator"], shown["x_user_id"]) == (True, tokens["account_id"])

        poster, ids = vault.kv("poster"), [first.json()["bot_id"], second.json()["bot_id"]]
        read = [access_tokens.read(poster.read(access_path(UUID(bot_id)))) for bot_id in ids]
        assert read[0].value == SecretStr(tokens["access_token"])
        assert isinstance(read[1].value, OAuth1)
        assert read[1].expires_at == access_tokens.NEVER
        kept = vault.kv("keys").read(refresh_path(UUID(ids[0])))
        assert kept.data["refresh_token"] == tokens["refresh_token"]
        async with sessions.begin() as session:
            rows = await session.execute(
                text("SELECT kind, expires_at IS NULL AS endless FROM credentials ORDER BY kind")
            )
            noted = [(row.kind, row.endless) for row in rows if row.kind != "x_app_client"]
            assert noted == [("x_user_access", False), ("x_user_oauth1", True), ("x_user_refresh", True)]
            for table in ("bots", "credentials", "activity_log", "audit_log"):
                found = "".join(row[0] for row in await session.execute(text(f"SELECT t::text FROM {table} AS t")))  # noqa: S608
                for secret in (tokens["access_token"], tokens["refresh_token"], *oauth1.values()):
                    assert secret not in found

        halved = {**oauth1, "access_token_secret": "wrong"}  # pragma: allowlist secret
        for wrong in (
            {"bot_name": "other_bot", "credentials": {"type": "oauth1", **oauth1}},
            {"bot_name": "other_bot", "credentials": {"type": "oauth1", **halved}},
            {"bot_name": "other_bot", "credentials": {"type": "oauth2", "access_token": "wrong"}},
            {"bot_name": "other_bot", "credentials": {"type": "oauth2", "access_token": "wrong\nline"}},
        ):
            answer = await front.call("POST", "/bots/create", json=wrong)
            assert (answer.status_code, answer.json()["type"]) == (422, "urn:vivesphere:problem:credentials-refused")
        assert (await front.call("GET", "/bots/other_bot")).status_code == 404
        x.stop()
        away = await front.call("POST", "/bots/create", json={**ferry, "bot_name": "third_bot"})
        assert (away.status_code, away.json()["type"]) == (502, "urn:vivesphere:problem:x-refused")
        assert (await front.call("GET", "/bots/third_bot")).status_code == 404
        x.start()


async def test_accounts_are_taken_in_with_the_tokens_they_have_and_a_second_time_changes_nothing(
    with_x: tuple[XSandboxProcess, Places], vault: OpenBaoProcess, sessions: Sessions
) -> None:
    x, places = with_x
    made = x.app("app")
    tram, bus = x.tokens("tram_line_9", "bus_line_4")
    signed = x.oauth1_token("ferry_times")
    app = {"name": "main", "use_case": "Service", **{name: made[name] for name in ("client_id", "client_secret")}}
    oauth1 = {
        "api_key": signed["consumer_key"],
        "api_key_secret": signed["consumer_secret"],
        "access_token": signed["access_token"],
        "access_token_secret": signed["access_token_secret"],
    }
    wanted = [
        {"bot_name": handle, "credentials": {"type": "oauth2", **{name: tokens[name] for name in names}}}
        for names in [("access_token", "refresh_token")]
        for handle, tokens in (("tram_line_9", tram), ("bus_line_4", bus), ("not_mine", bus))
    ]
    wanted.append({"bot_name": "ferry_times", "credentials": {"type": "oauth1", **oauth1}})
    attested = "Anna Berger, head of press: all of these are ours"
    async with served(places) as front:
        await front.call("POST", "/apps", json=app)
        waiting = (await front.call("POST", "/bots/create", json={"bot_name": "bus_line_4"})).json()
        first = await front.call("POST", "/bots/adopt", json={"attested": attested, "bots": wanted})
        assert [(one["handle"], one["result"]) for one in first.json()] == [
            ("tram_line_9", "created"),
            ("bus_line_4", "connected"),
            ("not_mine", "refused"),
            ("ferry_times", "created"),
        ], first.text
        assert first.json()[2]["said"] == "these credentials are of @bus_line_4, not of @not_mine"
        kept = vault.kv("keys").read(refresh_path(UUID(waiting["bot_id"])))
        assert (kept.version, kept.data["refresh_token"]) == (1, bus["refresh_token"])
        again = await front.call("POST", "/bots/adopt", json={"attested": attested, "bots": wanted})
        assert [one["result"] for one in again.json()] == ["unchanged", "unchanged", "refused", "unchanged"]
        assert vault.kv("keys").read(refresh_path(UUID(waiting["bot_id"]))).version == 1
        states = {bot["handle"]: bot["state"] for bot in (await front.call("GET", "/bots")).json()}
        assert states == dict.fromkeys(("bus_line_4", "ferry_times", "tram_line_9"), "active")
        async with sessions.begin() as session:
            rows = await session.execute(
                text("SELECT subject, details FROM audit_log WHERE action = 'bots.adopt' ORDER BY subject")
            )
            noted = {row.subject: row.details["why"] for row in rows}
            assert noted == dict.fromkeys(("bus_line_4", "ferry_times", "tram_line_9"), attested)
            every = "".join(row[0] for row in await session.execute(text("SELECT t::text FROM audit_log AS t")))
        for secret in (tram["access_token"], bus["refresh_token"], *oauth1.values()):
            assert secret not in every
            assert secret not in first.text + again.text
        for wrong in ({"bots": wanted}, {"attested": attested, "bots": []}):
            assert (await front.call("POST", "/bots/adopt", json=wrong)).status_code == 422


@pytest.mark.promise("C3")
async def test_tokens_that_have_ended_are_refreshed_once_by_the_refresher_and_taken_in_if_they_are_the_bots(
    with_x: tuple[XSandboxProcess, Places], vault: OpenBaoProcess, postgres: PostgresProcess, sessions: Sessions
) -> None:
    x, places = with_x
    made = x.app("app")
    client = (made["client_id"], made["client_secret"])
    names = ("tram_line_9", "bus_line_4", "spent", "somebody_else")
    tram, bus, spent, other = (
        {name: tokens[name] for name in ("access_token", "refresh_token")} for tokens in x.tokens(*names)
    )
    used = {"grant_type": "refresh_token", "refresh_token": spent["refresh_token"]}
    async with httpx.AsyncClient(trust_env=False) as elsewhere:
        (await elsewhere.post(f"{x.url}/2/oauth2/token", data=used, auth=client)).raise_for_status()
    x.clock(forward_seconds=7500)
    x.account("tram_line_9", description="Automated by @vive_ops")
    given = {"tram_line_9": tram, "bus_line_4": bus, "spent": spent, "not_mine": other, "alone": {"access_token": "x"}}
    wanted = [
        {"bot_name": handle, "operator_handle": "vive_ops", "credentials": {"type": "oauth2", **tokens}}
        for handle, tokens in given.items()
    ]
    adoption = {"attested": "Anna Berger, head of press: all of these are ours", "bots": wanted}
    of_keys = vault.places.settings.model_copy(update={"postgres": places.settings.postgres, "x": places.settings.x})
    login = Login("vivesphere_app", postgres.password)
    async with served(places) as front, open_connections("keys", Places(of_keys), own_login=login) as keys:
        app = {"name": "main", "use_case": "Service", "client_id": client[0], "client_secret": client[1]}
        await front.call("POST", "/apps", json=app)
        await front.call("POST", "/bots/create", json={"bot_name": "bus_line_4"})

        async def adopted() -> list[str]:
            answer = await front.call("POST", "/bots/adopt", json=adoption)
            return [one["result"] for one in answer.json()]

        async def refreshed() -> dict[str, tuple[str, str]]:
            found = await x_user_tokens.refresh(keys, await x_user_tokens.due(keys))
            return {one.handle: (one.state, one.said.partition(";")[0]) for one in found}

        def spends() -> int:
            asked = [entry for entry in x.ledger("token") if entry["grant"] == "refresh_token"]
            return len([entry for entry in asked if entry["result"] == "granted"])

        before = spends()
        assert [await adopted() for _ in range(2)] == [["waiting"] * 4 + ["refused"]] * 2
        ids = {bot["handle"]: UUID(bot["id"]) for bot in (await front.call("GET", "/bots")).json()}
        assert vault.kv("keys").read(refresh_path(ids["tram_line_9"])).version == 1
        x.fault("error", endpoint="GET /2/users/me", account="tram_line_9")
        first = await refreshed()
        assert first.pop("tram_line_9")[0] == "waiting"
        assert {handle: state for handle, (state, _) in first.items()} == {
            "bus_line_4": "refreshed",
            "spent": "needs_login",
            "not_mine": "needs_login",
        }
        assert first["not_mine"][1] == "not taken in: these credentials are of @somebody_else, not of @not_mine"
        x.heal()
        assert {handle: state for handle, (state, _) in (await refreshed()).items()} == {"tram_line_9": "fresh"}
        assert (spends() - before, await refreshed()) == (3, {})
        shown = (await front.call("GET", "/bots")).json()
        assert {bot["handle"]: (bot["state"], bot["bio_names_operator"]) for bot in shown} == {
            "tram_line_9": ("active", True),
            "bus_line_4": ("active", False),
            "spent": ("needs_login", False),
            "not_mine": ("needs_login", False),
        }
        read = access_tokens.read(vault.kv("poster").read(access_path(ids["tram_line_9"])))
        assert (await keys.x.me(read.value)).data.username == "tram_line_9"
        assert (await adopted())[:2] == ["unchanged", "unchanged"]
    async with sessions.begin() as session:
        rows = await session.execute(
            text("SELECT subject, action, actor FROM audit_log WHERE action LIKE 'bots.%adopt%' ORDER BY id")
        )
        noted = [(row.subject, row.action, row.actor) for row in rows]
        every = "".join(row[0] for row in await session.execute(text("SELECT t::text FROM audit_log AS t")))
    assert {row for row in noted if row[0] in ("tram_line_9", "spent")} == {
        ("tram_line_9", "bots.adopt", "admin/cli"),
        ("tram_line_9", "bots.adopted", "rotate-credentials"),
        ("spent", "bots.adopt", "admin/cli"),
        ("spent", "bots.not_adopted", "rotate-credentials"),
    }
    assert not [value for tokens in (tram, bus, spent, other) for value in tokens.values() if value in every]
