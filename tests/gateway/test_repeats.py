"""Changes that are sent twice with an Idempotency-Key: done once, answered twice, and kept nowhere in the clear."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from deployments.gateway.routers import personas
from tests.gateway.conftest import Front, a_key, a_user
from tests.makers import stored_bots

Sessions = async_sessionmaker[AsyncSession]
PROBLEM = "urn:vivesphere:problem:"
HARBOUR = {"name": "Harbour", "tone": "dry", "interests": ["tides"]}


def under(key: str) -> dict[str, Any]:
    return {"headers": {"Idempotency-Key": key}}


async def test_a_change_that_is_sent_again_is_answered_as_before_and_done_once(
    front: Front, sessions: Sessions
) -> None:
    first = await front.call("POST", "/keys", json={"name": "script"}, **under("one"))
    again = await front.call("POST", "/keys", json={"name": "script"}, **under("one"))
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    # The secret that is shown once was heard twice, and it is one key that works.
    header = {"Authorization": f"Bearer {again.json()['key']}"}
    assert (await front.anybody.get("/api/v1/bots", headers=header)).status_code == 200
    async with sessions.begin() as session:
        made = await session.execute(text("SELECT count(*) FROM audit_log WHERE subject LIKE '%script'"))
        assert made.scalar_one() == 1


async def test_a_key_is_for_one_request(front: Front) -> None:
    made = await front.call("POST", "/personas/create", json=HARBOUR, **under("one"))
    assert made.status_code == 201
    for path, body in (("/personas/create", {**HARBOUR, "tone": "merry"}), ("/logs/submit", HARBOUR)):
        answer = await front.call("POST", path, json=body, **under("one"))
        assert (answer.status_code, answer.json()["type"]) == (422, f"{PROBLEM}key-reused")
    wrong = await front.call("POST", "/personas/create", json=HARBOUR, **under("x" * 201))
    assert (wrong.status_code, wrong.json()["type"]) == (422, f"{PROBLEM}invalid-request")


async def test_a_file_is_known_by_its_content_and_not_by_its_length(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_bots(session)
    head = b"GIF89a"
    # One that stays in memory, and one that is laid on the disk.
    for key, size in (("small", 100), ("large", 9_000_000)):
        asked: dict[str, Any] = {"params": {"bot": "bot_0", "file_name": "a.gif", "alt_text": key}, **under(key)}
        first, again = [await front.call("POST", "/media", content=head + b"a" * size, **asked) for _ in range(2)]
        assert (first.status_code, again.status_code, again.headers["idempotent-replayed"]) == (201, 201, "true")
        assert first.json() == again.json()
        other = await front.call("POST", "/media", content=head + b"b" * size, **asked)
        assert (other.status_code, other.json()["type"]) == (422, f"{PROBLEM}key-reused")
    async with sessions.begin() as session:
        rows = await session.execute(text("SELECT content FROM media_chunks ORDER BY asset_id, place"))
        assert b"".join(map(bytes, rows.scalars())) == head + b"a" * 100 + head + b"a" * 9_000_000


async def test_refusals_are_said_again_too(front: Front) -> None:
    first = await front.call("POST", "/bots/nobody/login", **under("one"))
    await front.call("POST", "/bots/create", json={"bot_name": "nobody"})
    again = await front.call("POST", "/bots/nobody/login", **under("one"))
    assert (first.status_code, first.json(), first.headers["content-type"]) == (
        again.status_code,
        again.json(),
        again.headers["content-type"],
    )
    invalid = [await front.call("POST", "/personas/create", json={}, **under("two")) for _ in range(2)]
    assert [answer.status_code for answer in invalid] == [422, 422]


async def test_of_two_at_once_one_runs(front: Front, monkeypatch: pytest.MonkeyPatch, sessions: Sessions) -> None:
    entered, may_go_on = asyncio.Event(), asyncio.Event()
    create = personas.personas.create

    async def slowly(*given: Any) -> Any:
        entered.set()
        await may_go_on.wait()
        return await create(*given)

    monkeypatch.setattr(personas.personas, "create", slowly)
    first = asyncio.create_task(front.call("POST", "/personas/create", json=HARBOUR, **under("one")))
    await entered.wait()
    second = await front.call("POST", "/personas/create", json=HARBOUR, **under("one"))
    assert (second.status_code, second.json()["type"]) == (409, f"{PROBLEM}at-work")
    async with sessions.begin() as session:
        await session.execute(text("UPDATE idempotency_keys SET claimed_at = app_now() - interval '3 minutes'"))
    third = await front.call("POST", "/personas/create", json=HARBOUR, **under("one"))
    assert (third.status_code, third.json()["type"]) == (409, f"{PROBLEM}broken-off")
    may_go_on.set()
    assert (await first).status_code == 201
    fourth = await front.call("POST", "/personas/create", json=HARBOUR, **under("one"))
    assert (fourth.status_code, fourth.json()) == (201, (await first).json())


async def test_a_fault_of_ours_leaves_the_key_free(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:

        async def fails(*_: Any) -> Any:
            raise RuntimeError("planted")

        broken.setattr(personas.personas, "create", fails)
        first = await front.call("POST", "/personas/create", json=HARBOUR, **under("one"))
        assert first.status_code == 500
    assert (await front.call("POST", "/personas/create", json=HARBOUR, **under("one"))).status_code == 201


async def test_keys_belong_to_their_sender_and_a_lost_role_hears_no_old_answer(front: Front) -> None:
    anna = await a_key(front, "anna", ("operator", None))
    bert = await a_key(front, "bert", ("operator", None))
    asked = {"json": HARBOUR, "headers": {"Idempotency-Key": "one"}}
    statuses = []
    for header in (anna, bert, anna):
        given = {**asked, "headers": {**asked["headers"], **header}}
        statuses.append((await front.anybody.post("/api/v1/personas/create", **given)).status_code)
    assert statuses == [201, 200, 201]
    user_id = (await front.call("GET", "/users/anna")).json()["id"]
    await front.call("POST", "/roles/revoke", json={"user_id": user_id, "role": "operator"})
    given = {**asked, "headers": {**asked["headers"], **anna}}
    assert (await front.anybody.post("/api/v1/personas/create", **given)).status_code == 403


async def test_neither_key_nor_request_nor_answer_is_kept_in_the_clear(front: Front, sessions: Sessions) -> None:
    secret = {"name": "newsroom", "service": "webhook", "secret": "planted-body"}  # pragma: allowlist secret
    await front.call("POST", "/apikeys/store", json=secret, **under("planted-key-1"))
    made = await front.call("POST", "/keys", json={"name": "script"}, **under("planted-key-2"))
    link = await front.call("POST", "/users", json={"username": "eve"}, **under("planted-key-3"))
    shown = [made.json()["key"], link.json()["link"]["url"].partition("link=")[2]]
    async with sessions.begin() as session:
        rows = (await session.execute(text("SELECT key_hmac, request_hmac, answer FROM idempotency_keys"))).all()
    kept = b"".join(bytes(value) for row in rows for value in row)
    assert len(rows) == 3
    for planted in ("planted", *shown, shown[0].partition(":")[2], "script", "newsroom"):
        assert planted.encode() not in kept


async def test_keys_are_forgotten_after_their_time(front: Front, sessions: Sessions) -> None:
    await a_user(front, "anna")
    await front.call("POST", "/personas/create", json=HARBOUR, **under("one"))
    async with sessions.begin() as session:
        await session.execute(text("UPDATE idempotency_keys SET claimed_at = app_now() - interval '25 hours'"))
    again = await front.call("POST", "/personas/create", json=HARBOUR, **under("one"))
    assert (again.status_code, "idempotent-replayed" in again.headers) == (200, False)


async def test_who_asks_too_much_is_told_when_to_come_back(front: Front) -> None:
    header = await a_key(front, "anna", ("viewer", None))
    line = {"log_type": "debug", "log_data": {"n": 1}}
    answers = [await front.anybody.post("/api/v1/logs/submit", json=line, headers=header) for _ in range(101)]
    assert {answer.status_code for answer in answers[:100]} == {202}
    assert answers[0].headers["ratelimit"].startswith('"changes";r=99')
    assert (answers[100].status_code, answers[100].json()["type"]) == (429, f"{PROBLEM}too-many-requests")
    assert 1 <= int(answers[100].headers["retry-after"]) <= 60
    # Looking is counted by itself.
    assert (await front.anybody.get("/api/v1/bots", headers=header)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "given", "status", "problem"),
    [
        ("GET", "/nothing", {}, 404, "not-found"),
        ("PUT", "/posts", {"json": []}, 405, "method-not-allowed"),
        (
            "POST",
            "/logs/submit",
            {"content": "x=1", "headers": {"Content-Type": "text/plain"}},
            415,
            "unsupported-media-type",
        ),
        (
            "POST",
            "/logs/submit",
            {"content": "{", "headers": {"Content-Type": "application/json"}},
            422,
            "invalid-request",
        ),
        ("POST", "/logs/submit", {"json": {"log_type": "debug", "log_data": {"x": "y" * 20_000}}}, 413, "too-long"),
    ],
)
async def test_the_framework_speaks_in_problems_too(
    front: Front, method: str, path: str, given: dict[str, Any], status: int, problem: str
) -> None:
    answer = await front.call(method, path, **given)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["type"] == f"{PROBLEM}{problem}"
    assert answer.json()["status"] == status
