"""Posts over the API."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.gateway.conftest import Front, a_key
from tests.makers import NOON, a_draft, stored_bots, stored_posts

Sessions = async_sessionmaker[AsyncSession]
LATER = NOON + timedelta(days=365)


def a_post(**given: Any) -> dict[str, Any]:
    return a_draft(**{"bot": "bot_0", "due_at": LATER, **given}).model_dump(mode="json")


@pytest.fixture
async def with_bot(front: Front, sessions: Sessions) -> Front:
    async with sessions.begin() as session:
        await stored_bots(session)
    return front


async def test_each_receipt_stands_in_the_place_of_its_draft(with_bot: Front) -> None:
    first = a_post(external_id="a")
    await with_bot.call("POST", "/posts", json=[first])
    drafts = [a_post(text="x" * 300), a_post(), a_post(bot="bot_7"), first, a_post(external_id="a"), a_post()]
    answer = await with_bot.call("POST", "/posts", json=drafts)
    assert answer.status_code == 201
    assert [receipt["result"] for receipt in answer.json()] == [
        "refused",
        "scheduled",
        "refused",
        "unchanged",
        "conflict",
        "scheduled",
    ]
    assert answer.json()[0]["reasons"][0].startswith("weighted-length: ")
    assert answer.json()[2]["reasons"][0].startswith("unknown-bot: ")


async def test_a_dry_run_stores_nothing(with_bot: Front) -> None:
    answer = await with_bot.call("POST", "/posts", json=[a_post()], params={"dry_run": True})
    assert (answer.status_code, answer.json()[0]["result"]) == (200, "scheduled")
    assert (await with_bot.call("GET", "/posts/counts")).json() == {}


async def test_a_post_tells_its_whole_story(with_bot: Front) -> None:
    [receipt] = (await with_bot.call("POST", "/posts", json=[a_post()], params={"source": "csv"})).json()
    found = (await with_bot.call("GET", f"/posts/{receipt['post_id']}")).json()
    assert (found["status"], found["source"], found["created_by"]) == ("scheduled", "csv", "admin/cli")
    assert [verdict["allowed"] for verdict in found["verdicts"]] == [True]
    assert found["tries"] == []
    missing = await with_bot.call("GET", f"/posts/{uuid4()}")
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:vivesphere:problem:no-such-post")


async def test_a_post_is_cancelled_until_it_is_on_its_way(with_bot: Front, sessions: Sessions) -> None:
    [one, other] = [row["post_id"] for row in (await with_bot.call("POST", "/posts", json=[a_post(), a_post()])).json()]
    answer = await with_bot.call("POST", f"/posts/{one}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    async with sessions.begin() as session:
        await session.execute(text("UPDATE posts SET status = 'sending' WHERE id = :id"), {"id": other})
    late = await with_bot.call("POST", f"/posts/{other}/cancel")
    assert late.status_code == 409
    assert late.json()["type"] == "urn:vivesphere:problem:too-late"
    assert "the post is sending" in late.json()["detail"]


async def test_pages_neither_repeat_nor_hide_a_post_while_others_come_in(with_bot: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        bot = (await session.execute(text("SELECT id FROM bots"))).scalar_one()
        # All due at the same instant: the id decides.
        expected = set(await stored_posts(session, bot, 23))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 5, **({"cursor": cursor} if cursor else {})}
        page = (await with_bot.call("GET", "/posts", params=query)).json()
        seen += [post["id"] for post in page["posts"]]
        await with_bot.call("POST", "/posts", json=[a_post()])
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 23
    assert set(seen) == {str(post_id) for post_id in expected}


async def test_filters_narrow_a_page(with_bot: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await session.execute(text("UPDATE bots SET labels = '{city}'"))
    [receipt] = (await with_bot.call("POST", "/posts", json=[a_post()])).json()
    for query, count in (
        ({"bot": "@BOT_0"}, 1),
        ({"bot": "bot_1"}, 0),
        ({"label": "city"}, 1),
        ({"label": "rural"}, 0),
        ({"status": "scheduled"}, 1),
        ({"status": "published"}, 0),
    ):
        assert (query, len((await with_bot.call("GET", "/posts", params=query)).json()["posts"])) == (query, count)
    assert receipt["result"] == "scheduled"


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "MjAyNi0wMS0wMSAx", "====", "MjAyNi0xMS0yM1QxMjowMDowMCA="])
async def test_a_cursor_of_somebody_elses_making_is_refused(front: Front, cursor: str) -> None:
    answer = await front.call("GET", "/posts", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:vivesphere:problem:invalid-request")


async def test_invalid_drafts_are_named_by_place_and_field_without_their_text(front: Front) -> None:
    bad = {**a_post(), "due_at": "2030-01-01T09:00", "text": "planted-text", "colour": "blue"}
    answer = await front.call("POST", "/posts", json=[a_post(), bad])
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"body.1.due_at", "body.1.colour"}
    assert "planted-text" not in answer.text
    for body in ([], [a_post()] * 1001, {"text": "x"}, "x"):
        assert (await front.call("POST", "/posts", json=body)).status_code == 422
    assert (
        await front.call("POST", "/posts", content=b"{", headers={"content-type": "application/json"})
    ).status_code == 422


async def test_a_character_that_cannot_be_stored_is_the_senders_fault(with_bot: Front) -> None:
    answer = await with_bot.call("POST", "/posts", json=[a_post(text="nul \x00 inside")])
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:vivesphere:problem:cannot-be-stored")
    surrogate = '[{"bot": "bot_0", "text": "\\ud800", "due_at": "2030-01-01T09:00Z"}]'
    answer = await with_bot.call("POST", "/posts", content=surrogate, headers={"content-type": "application/json"})
    assert answer.status_code == 422


async def test_the_same_batch_sent_twice_at_once_is_stored_once(with_bot: Front) -> None:
    drafts = [a_post(external_id=str(number)) for number in range(50)]
    answers = await asyncio.gather(*(with_bot.call("POST", "/posts", json=drafts) for _ in range(4)))
    results = [receipt["result"] for answer in answers for receipt in answer.json()]
    assert (results.count("scheduled"), results.count("unchanged")) == (50, 150)
    assert (await with_bot.call("GET", "/posts/counts")).json() == {"scheduled": 50}


async def test_a_post_is_changed_at_the_revision_that_was_seen(with_bot: Front) -> None:
    [receipt] = (await with_bot.call("POST", "/posts", json=[a_post(text="Sunny")])).json()
    path = f"/posts/{receipt['post_id']}"
    seen = (await with_bot.call("GET", path)).headers["ETag"]
    changed = await with_bot.call("PATCH", path, json={"text": "Rain"}, headers={"If-Match": seen})
    assert (changed.status_code, changed.json()["post"]["text"], changed.headers["ETag"]) == (200, "Rain", '"2"')
    stale = await with_bot.call("PATCH", path, json={"text": "Snow"}, headers={"If-Match": seen})
    assert (stale.status_code, stale.json()["type"]) == (412, "urn:vivesphere:problem:stale")
    nonsense = await with_bot.call("PATCH", path, json={"text": "Snow"}, headers={"If-Match": "latest"})
    assert nonsense.status_code == 412
    found = (await with_bot.call("GET", path)).json()
    assert [(one["revision"], one["text"]) for one in found["earlier"]] == [(1, "Sunny")]
    assert [(one["revision"], one["allowed"]) for one in found["verdicts"]] == [(1, True), (2, True)]


async def test_a_change_that_the_gate_refuses_changes_nothing(with_bot: Front) -> None:
    [receipt] = (await with_bot.call("POST", "/posts", json=[a_post(text="Sunny")])).json()
    path = f"/posts/{receipt['post_id']}"
    for change, rule in (({"text": "x" * 281}, "weighted-length"), ({"text": ""}, "Value error")):
        answer = (await with_bot.call("PATCH", path, json=change)).json()
        assert (answer["receipt"]["result"], answer["post"]["text"]) == ("refused", "Sunny")
        assert answer["receipt"]["reasons"][0].startswith(rule)
    assert (await with_bot.call("GET", path)).json()["revision"] == 1


async def test_a_change_of_the_instant_plans_anew_and_ends_a_claim(with_bot: Front, sessions: Sessions) -> None:
    [receipt] = (await with_bot.call("POST", "/posts", json=[a_post()])).json()
    path = f"/posts/{receipt['post_id']}"
    async with sessions.begin() as session:
        await session.execute(text("UPDATE posts SET status = 'claimed', lease_until = app_now()"))
    later = (LATER + timedelta(hours=1)).isoformat()
    answer = (await with_bot.call("PATCH", path, json={"due_at": later, "misfire": "skip"})).json()["post"]
    assert (answer["status"], answer["due_at"], answer["planned_at"]) == (
        "scheduled",
        answer["planned_at"],
        answer["due_at"],
    )
    assert (answer["misfire"], answer["revision"]) == ("skip", 2)
    async with sessions.begin() as session:
        await session.execute(text("UPDATE posts SET status = 'sending'"))
    assert (await with_bot.call("PATCH", path, json={"text": "Too late"})).status_code == 409


async def test_a_file_is_taken_in_once_and_shown_by_its_post(with_bot: Front) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(1000)
    asked = {"bot": "bot_0", "file_name": "rain.png", "alt_text": "A wet street"}
    first = await with_bot.call("POST", "/media", content=png, params=asked)
    assert (first.status_code, first.json()["media_type"], first.json()["total_bytes"]) == (201, "image/png", 1008)
    assert (await with_bot.call("POST", "/media", content=png, params=asked)).json() == first.json()
    draft = {**a_post(text="Rain"), "media": [first.json()["id"]]}
    [receipt] = (await with_bot.call("POST", "/posts", json=[draft])).json()
    assert (await with_bot.call("GET", f"/posts/{receipt['post_id']}")).json()["media"] == [first.json()]
    refused = await with_bot.call("POST", "/media", content=b"hello", params=asked)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:vivesphere:problem:media-refused")
    assert (await with_bot.call("POST", "/media", content=png, params={**asked, "bot": "bot_7"})).status_code == 404


async def test_files_are_listed_within_the_label_and_in_parts(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_bots(session, 2)
    async with sessions.begin() as session:
        await session.execute(text("UPDATE bots SET labels = '{theirs}' WHERE handle = 'bot_1'"))
    for bot, count in (("bot_0", 3), ("bot_1", 1)):
        for number in range(count):
            asked = {"bot": bot, "file_name": f"{number}.png"}
            png = b"\x89PNG\r\n\x1a\n" + bytes(100) + bytes([number])
            (await front.call("POST", "/media", content=png, params=asked)).raise_for_status()
    path, seen = "/media?limit=2", list[Any]()
    while path:
        answer = await front.call("GET", path)
        seen += [(one["bot"], one["file_name"], one["created_by"]) for one in answer.json()]
        path = answer.links["next"]["url"].removeprefix("/api/v1") if "next" in answer.links else ""
    assert seen == [
        (bot, f"{n}.png", "admin/cli") for bot, n in (("bot_1", 0), ("bot_0", 2), ("bot_0", 1), ("bot_0", 0))
    ]
    key = await a_key(front, "anna", ("viewer", "theirs"))
    for bot, status, count in ((None, 200, 1), ("@bot_1", 200, 1), ("bot_0", 200, 0)):
        params = {} if bot is None else {"bot": bot}
        answer = await front.anybody.get("/api/v1/media", params=params, headers=key)
        assert (answer.status_code, len(answer.json())) == (status, count)
