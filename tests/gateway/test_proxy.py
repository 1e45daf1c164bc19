"""What passes the gateway to Prefect and what does not, with a Prefect that writes down what reaches it."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from blocks.postgres.engine import Server
from config.places import Places
from config.settings import Gateway
from tasks.domain.roles import system
from tasks.operations import api_keys, users
from tests.gateway.conftest import Front
from tests.gateway.prefect_matrix import ID, MAY, TAKES_ANYTHING, asks, example, forbidden, http_rows
from tests.gateway.prefect_recorder import AUTH, Recorder
from tests.postgres_process import PostgresProcess, free_port

Sessions = async_sessionmaker[AsyncSession]
RUN = f"/api/flow_runs/{ID}"
START = f"/api/deployments/{ID}/create_flow_run"


@pytest.fixture
def places(places: Places) -> Places:
    """Without limits, which have tests of their own, and without patience for a Prefect that is silent."""
    wide = Gateway(
        port=free_port(),
        reads_per_minute=1_000_000,
        changes_per_minute=1_000_000,
        own_per_minute=1_000_000,
        prefect_answer_seconds=5,
    )
    return Places(places.settings.model_copy(update={"gateway": wide}))


@pytest.fixture
async def prefect(front: Front) -> AsyncIterator[Recorder]:
    async with Recorder().running(front.places) as server:
        yield server


@pytest.fixture
async def keys(front: Front) -> Mapping[str, str]:
    """A key of a user of each role."""
    at = front.app.state.opening.ready.connections
    made = {}
    for role in MAY:
        user_id = (await users.add(at, f"the-{role}", None, system("tests"))).user.id
        await users.assign(at, user_id, role, None, None, system("tests"))
        made[role] = (await api_keys.create(at, user_id, "key", system("tests"))).secret
    return made


@pytest.fixture
def ask(front: Front, keys: Mapping[str, str]) -> Any:
    """`await ask("viewer", "GET", path)`: signed in as Prefect's own client signs in."""

    async def asking(role: str, method: str, path: str, **what: Any) -> httpx.Response:
        basic = base64.b64encode(keys[role].encode()).decode()
        headers = {"Authorization": f"Basic {basic}", **what.pop("headers", {})}
        return await front.anybody.request(method, path, headers=headers, **what)

    return asking


@pytest.mark.promise("A1")
@pytest.mark.parametrize("role", MAY)
async def test_nothing_gets_past_the_table(ask: Any, prefect: Recorder, role: str) -> None:
    """All routes, all tricks: what may pass arrives once and written anew, of the rest nothing arrives."""
    headers = {"Content-Type": "application/json"}
    passed = refused = 0
    for wanted in asks(role):
        answer = await ask(role, wanted.route.method, wanted.path, content=wanted.body, headers=headers)
        seen = prefect.taken()
        # Whether a run waits is looked at before it is set going.
        seen = [one for one in seen if (one.method, one.path) == (wanted.route.method, wanted.path)]
        assert (str(wanted), len(seen)) == (str(wanted), 1 if wanted.passes else 0), answer.text[:300]
        assert (str(wanted), answer.is_success) == (str(wanted), wanted.passes), answer.text[:300]
        passed, refused = passed + wanted.passes, refused + (not wanted.passes)
        for one in seen:
            assert one.headers["authorization"] == f"Basic {base64.b64encode(AUTH.encode()).decode()}"
            assert b"include_secrets" not in one.body
            if wanted.body is not None and one.body:
                assert json.loads(one.body) == json.loads(wanted.body)
                harmless = role == "admin" or wanted.route.reads or wanted.route.name in TAKES_ANYTHING
                assert harmless or not forbidden(json.loads(one.body))
        if not wanted.passes:
            assert answer.status_code in (403, 404), (str(wanted), answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
    assert passed > 100 and refused > 50


@pytest.mark.promise("A1")
async def test_a_stranger_sees_what_is_public_and_nothing_else(front: Front, prefect: Recorder) -> None:
    for route in http_rows():
        answer = await front.anybody.request(route.method, example(route.path))
        wanted = 200 if "public" in route.classes else 404 if "closed" in route.classes else 401
        assert (route.name, answer.status_code) == (route.name, wanted)
    assert {one.path for one in prefect.taken()} == {"/api/health", "/api/ready"}


async def test_prefect_gets_its_own_auth_string_and_none_of_our_secrets(
    ask: Any, prefect: Recorder, keys: Mapping[str, str]
) -> None:
    sent = {"Cookie": "__Host-session=planted", "X-Forwarded-For": "10.0.0.1", "X-Prefect-Api-Version": "0.8.4"}
    await ask("viewer", "GET", "/api/hello", headers={**sent, "Connection": "x-custom", "X-Custom": "1"})
    [seen] = prefect.taken()
    assert seen.headers["x-prefect-api-version"] == "0.8.4"
    assert not {"cookie", "x-forwarded-for", "x-custom"} & set(seen.headers)
    assert not any(keys["viewer"] in value for value in seen.headers.values())


async def test_answers_bring_no_cookie_and_no_door_for_other_sites(ask: Any, prefect: Recorder) -> None:
    prefect.headers = {
        "Set-Cookie": "a=b",
        "Access-Control-Allow-Origin": "*",
        "Server": "uvicorn",
        "X-Internal": "1",
        "ETag": '"1"',
    }
    answer = await ask("viewer", "GET", "/api/hello")
    assert answer.headers["etag"] == '"1"'
    assert not {"set-cookie", "access-control-allow-origin", "server", "x-internal"} & set(answer.headers)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = await ask("viewer", "GET", "/v2/")
    policy = page.headers["content-security-policy"]
    assert "'unsafe-eval'" in policy and "connect-src 'self';" in policy and "http" not in policy


async def test_a_body_has_one_reading(ask: Any, prefect: Recorder) -> None:
    """Prefect would take one of two equal keys; which one, is not left to it."""
    twice = b'{"name": "a", "name": "b", "parameters": {"x": 1}, "job_variables": {}}'
    assert (await ask("operator", "POST", START, content=twice)).status_code == 200
    [seen] = prefect.taken()
    assert seen.body == b'{"name":"b","parameters":{"x":1}}'
    assert seen.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b'{"a": NaN}', {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"job_variables=x", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ],
)
async def test_a_body_that_is_no_json_stays_here(
    ask: Any, prefect: Recorder, content: bytes, headers: dict[str, str], status: int
) -> None:
    for role in ("operator", "admin"):
        assert (await ask(role, "POST", START, content=content, headers=headers)).status_code == status
    assert prefect.taken() == []


async def test_a_person_starts_a_run_as_the_pages_do(ask: Any, prefect: Recorder) -> None:
    details = {"deferred": False, "untrackable_result": False, "pause_reschedule": False}
    form = {
        "state": {"type": "SCHEDULED", "message": "Run from the Prefect UI with defaults", "state_details": details},
        "job_variables": {},
        "work_queue_name": None,
    }
    assert (await ask("operator", "POST", START, json=form)).status_code == 200
    [seen] = prefect.taken()
    assert json.loads(seen.body) == {
        "state": {"type": "SCHEDULED", "message": "Run from the Prefect UI with defaults", "state_details": {}}
    }


@pytest.mark.parametrize(
    ("role", "path", "body", "named"),
    [
        ("operator", START, {"job_variables": {"command": "id"}}, "body.job_variables"),
        ("worker", START, {"job_variables": {"command": "id"}}, "body.job_variables"),
        ("operator", START, {"parameters": {"run_request_id": ID}}, "body.parameters.run_request_id"),
        ("operator", START, {"state": {"type": "RUNNING"}}, "body.state.type"),
        ("operator", f"{RUN}/set_state", {"state": {"type": "RUNNING"}}, "body.state.type"),
        ("operator", f"{RUN}/set_state", {"state": {"type": "FAILED", "state_details": {"a": 1}}}, "state_details"),
        ("worker", f"{RUN}/set_state", {"state": {"type": "COMPLETED", "data": {"a": 1}}}, "body.state.data"),
        ("operator", "/api/flow_runs/bulk_set_state", {"state": {"type": "SCHEDULED"}}, "body.state.type"),
        ("approver", f"{RUN}/resume", {"run_input": {}, "state": {"type": "RUNNING"}}, "body.state"),
    ],
)
async def test_a_refusal_names_the_key(
    ask: Any, prefect: Recorder, role: str, path: str, body: Any, named: str
) -> None:
    answer = await ask(role, "POST", path, json=body)
    assert answer.status_code == 403 and named in answer.json()["detail"]
    assert prefect.taken() == []


async def test_a_paused_run_goes_on_by_approval_alone(ask: Any, prefect: Recorder, sessions: Sessions) -> None:
    """Retrying it would be an approval that nobody gave."""
    prefect.content = {"state_type": "PAUSED"}
    again = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    for role in ("operator", "worker"):
        answer = await ask(role, "POST", f"{RUN}/set_state", json=again)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:vivesphere:problem:resume-instead")
    assert {seen.method for seen in prefect.taken()} == {"GET"}
    assert (await ask("operator", "POST", f"{RUN}/set_state", json={"state": {"type": "CANCELLED"}})).is_success
    assert (await ask("operator", "POST", f"{RUN}/resume", json={})).status_code == 403
    assert (await ask("approver", "POST", f"{RUN}/resume", json={"run_input": {"text": "planted"}})).is_success
    async with sessions.begin() as session:
        rows = (await session.execute(text("SELECT actor, action, subject, details FROM audit_log"))).all()
    approvals = [row for row in rows if row.action == "prefect.approve"]
    assert [(row.actor, row.subject) for row in approvals] == [("the-approver/key", f"{RUN}/resume")]
    assert "planted" not in str(rows)


async def test_what_cannot_be_written_down_does_not_happen(
    ask: Any, prefect: Recorder, postgres: PostgresProcess, database: Server
) -> None:
    with psycopg.connect(postgres.conninfo(database.database), autocommit=True) as connection:
        connection.execute("REVOKE INSERT ON audit_log FROM vivesphere_app")
    for role, path in (("approver", f"{RUN}/resume"), ("operator", START)):
        assert (await ask(role, "POST", path, json={})).status_code == 500
    assert prefect.taken() == []


@pytest.mark.parametrize(
    "query", ["include_secrets=true", "include_secrets=1", "Include-Secrets=yes", "include_secrets="]
)
async def test_no_query_gets_at_a_secret(ask: Any, prefect: Recorder, query: str) -> None:
    for role in ("viewer", "worker", "admin"):
        answer = await ask(role, "GET", f"/api/block_documents/{ID}?{query}")
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:vivesphere:problem:secrets-stay")
    assert prefect.taken() == []
    assert (await ask("viewer", "GET", f"/api/block_documents/{ID}?include_secrets=false&a=%3D%26")).is_success
    assert [seen.query for seen in prefect.taken()] == ["a=%3D%26"]


async def test_looking_at_a_queue_does_not_count_as_polling_it(ask: Any, prefect: Recorder) -> None:
    path = f"/api/work_queues/{ID}/get_runs"
    for role, marked in (("viewer", "true"), ("worker", None)):
        await ask(role, "POST", path, json={}, headers={})
        [seen] = prefect.taken()
        assert seen.headers.get("x-prefect-ui") == marked


async def test_prefects_settings_are_shown_without_a_value(ask: Any, prefect: Recorder) -> None:
    prefect.content = {
        "server": {"api": {"port": 4200, "auth_string": "planted"}, "ui": {"enabled": True}, "list": ["planted"]},
        "client": {"custom_headers": {"planted": "planted"}},
        "connection_url": "planted",
    }
    for role in ("viewer", "admin"):
        answer = await ask(role, "GET", "/api/admin/settings", headers={"Accept-Encoding": "gzip"})
        assert "planted" not in answer.text
        assert answer.json()["server"]["api"]["port"] == 4200
        assert answer.json()["server"]["ui"]["enabled"] is True


async def test_the_pages_find_the_api_here_and_ask_for_no_password_of_prefects(front: Front) -> None:
    settings = (await front.anybody.get("/ui-settings")).json()
    assert (settings["auth"], settings["api_url"], settings["available_uis"]) == (None, "/api", ["v2"])


async def test_a_person_without_a_sign_in_is_led_to_it(front: Front, prefect: Recorder) -> None:
    assert (await front.anybody.get("/")).headers["location"] == "/v2/"
    # As `up` prints it.
    assert (await front.anybody.get(httpx.URL(front.places.prefect_pages).path)).headers["location"] == "/v2/"
    page = await front.anybody.get("/v2/runs/flow-run/x", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=/v2/runs/flow-run/x")
    older = await front.anybody.get("/runs/flow-run/x", headers={"Accept": "text/html"})
    assert (older.status_code, older.headers["location"]) == (307, "/v2/runs/flow-run/x")
    assert (await front.anybody.get("/v2/assets/x.js")).status_code == 401
    assert prefect.taken() == []


async def test_links_in_answers_lead_here(ask: Any, front: Front, prefect: Recorder) -> None:
    """Prefect builds them from the host that was asked."""
    await ask("viewer", "GET", "/api/hello")
    [seen] = prefect.taken()
    assert seen.headers["host"] == httpx.URL(front.places.gateway).netloc.decode()
    for host in ("a/b", "a b", "a@b", ""):
        assert (await ask("viewer", "GET", "/api/hello", headers={"Host": host})).status_code == 400


async def test_a_disabled_user_changes_nothing_any_more(ask: Any, prefect: Recorder, sessions: Sessions) -> None:
    assert (await ask("operator", "POST", START, json={})).is_success
    async with sessions.begin() as session:
        await session.execute(text("UPDATE users SET disabled_at = now()"))
    prefect.taken()
    assert (await ask("operator", "POST", START, json={})).status_code == 401
    assert (await ask("operator", "GET", "/api/hello")).status_code == 401
    assert prefect.taken() == []


@pytest.mark.promise("A1")
@pytest.mark.parametrize(
    ("way", "status"), [("disable", 401), ("offboard", 401), ("key", 401), ("role", 403)], ids=lambda way: str(way)
)
async def test_what_was_taken_away_opens_nothing_from_the_answer_on(
    ask: Any, front: Front, prefect: Recorder, way: str, status: int
) -> None:
    """Whoever looks is believed for some seconds, but no second longer than he may look."""
    assert front.places.settings.gateway.remembered_seconds >= 1
    looks = (("GET", "/api/hello"), ("POST", "/api/flows/filter"), ("GET", "/v2/dashboard"), ("GET", "/api/v1/bots"))
    for method, path in looks:
        assert (await ask("viewer", method, path)).status_code == 200
    user = (await front.call("GET", "/users/the-viewer")).json()
    if way == "key":
        [key] = (await front.call("GET", "/keys", params={"user_id": user["id"]})).json()
        done = await front.call("DELETE", f"/keys/{key['id']}")
    elif way == "role":
        done = await front.call("POST", "/roles/revoke", json={"user_id": user["id"], "role": "viewer"})
    else:
        done = await front.call("POST", f"/users/the-viewer/{way}")
    done.raise_for_status()
    prefect.taken()
    began = time.monotonic()
    answers = [(await ask("viewer", method, path)).status_code for method, path in looks]
    print(f"{way}: looked {len(looks)} times within {time.monotonic() - began:.3f} s of the answer: {answers}")
    assert answers == [status] * len(looks)
    assert prefect.taken() == []


async def test_a_role_for_one_label_does_not_open_pages_that_show_all_bots(
    ask: Any, prefect: Recorder, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        await session.execute(text("UPDATE role_bindings SET label = 'vienna' WHERE role = 'viewer'"))
    answer = await ask("viewer", "GET", "/api/hello")
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:vivesphere:problem:not-allowed")
    assert prefect.taken() == []


async def test_refusals_and_changes_are_written_down(ask: Any, prefect: Recorder, sessions: Sessions) -> None:
    await ask("viewer", "DELETE", RUN)
    await ask("operator", "POST", START, json={"job_variables": {"command": "planted"}})
    await ask("admin", "DELETE", RUN)
    await ask("worker", "POST", "/api/logs/", json=[])
    async with sessions.begin() as session:
        noted = (await session.execute(text("SELECT * FROM audit_log WHERE actor LIKE 'the-%' ORDER BY id"))).all()
        refused = (await session.execute(text("SELECT * FROM activity_log WHERE actor LIKE 'the-%' ORDER BY id"))).all()
    assert [(row.actor, row.action, row.subject, row.details) for row in noted] == [
        ("the-admin/key", "prefect.admin", RUN, {"method": "DELETE"})
    ]
    assert [(row.actor, row.action, row.subject, row.category) for row in refused] == [
        ("the-viewer/key", "access.denied", RUN, "security"),
        ("the-operator/key", "access.denied", START, "security"),
    ]
    assert "planted" not in str([noted, refused])


async def test_prefect_away_is_a_problem_that_says_when_to_come_back(ask: Any, front: Front) -> None:
    answer = await ask("viewer", "GET", "/api/hello")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:vivesphere:problem:prefect-away")
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    ("says", "status"), [(None, 504), (b"", 502), (b"what?\r\n\r\n", 502)], ids=["nothing", "closes", "rubbish"]
)
async def test_prefect_that_gives_no_answer_is_a_problem_that_says_so(
    ask: Any, front: Front, says: bytes | None, status: int
) -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        if says is None:
            # Until the gateway gives up.
            await reader.read()
        else:
            writer.write(says)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", front.places.settings.prefect.port):
        for method, path in (("GET", "/api/hello"), ("POST", START)):
            asked = 0
            answer = await ask("operator", method, path, **({"json": {}} if method == "POST" else {}))
            assert (answer.status_code, answer.json()["type"]) == (status, "urn:vivesphere:problem:prefect-away")
            assert answer.headers["retry-after"] == "2"
        # What only looks is asked for once more where the connection was just being closed; this never is.
        assert asked == 1


async def test_prefect_that_does_not_take_our_string_is_no_sign_out(ask: Any, prefect: Recorder) -> None:
    prefect.status = 401
    answer = await ask("viewer", "GET", "/api/hello")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:vivesphere:problem:prefect-away")


async def test_errors_of_prefects_own_pass_through(ask: Any, prefect: Recorder) -> None:
    prefect.status, prefect.content = 404, {"detail": "Flow run not found"}
    answer = await ask("viewer", "GET", RUN)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Flow run not found"})
