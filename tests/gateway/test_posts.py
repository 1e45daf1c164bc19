"""Posts over the API."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.gateway.conftest import Front
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
