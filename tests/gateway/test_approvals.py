"""Approvals over the API: who may, for which words, and that it is the only way past a rule that wants a person."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.gateway.conftest import Front, a_key
from tests.makers import NOON, a_draft, stored_bots

Sessions = async_sessionmaker[AsyncSession]
LATER = NOON + timedelta(days=365)
CIVIC = "The polling stations are open, go and vote."


@pytest.fixture
async def people(front: Front, sessions: Sessions) -> dict[str, dict[str, str]]:
    """Who writes, and who approves."""
    async with sessions.begin() as session:
        await stored_bots(session, 2, labels=["weather"])
        await session.execute(text("UPDATE bots SET labels = '{transit}' WHERE handle = 'bot_1'"))
    return {
        "wanda": await a_key(front, "wanda", ("operator", None), ("approver", None)),
        "alma": await a_key(front, "alma", ("approver", None)),
        "local": await a_key(front, "local", ("approver", "weather")),
    }


async def write(front: Front, by: dict[str, str], *texts: str, **given: Any) -> list[dict[str, Any]]:
    drafts = [
        a_draft(**{"bot": "bot_0", "text": one, "due_at": LATER, **given}).model_dump(mode="json") for one in texts
    ]
    answer = await front.anybody.post("/api/v1/posts", json=drafts, headers=by)
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


async def decide(front: Front, by: dict[str, str], what: str, *posts: str, revision: int = 1) -> list[tuple[str, Any]]:
    wanted = {"posts": [{"post_id": post, "revision": revision} for post in posts], "comment": "read twice"}
    answer = await front.anybody.post(f"/api/v1/approvals/{what}", json=wanted, headers=by)
    return [(one["result"], one["why"]) for one in answer.raise_for_status().json()]


async def shown(front: Front, post: str) -> dict[str, Any]:
    found: dict[str, Any] = (await front.call("GET", f"/posts/{post}")).json()
    return found


@pytest.mark.promise("P6")
async def test_a_person_who_did_not_write_it_lets_it_pass(front: Front, people: dict[str, dict[str, str]]) -> None:
    [receipt] = await write(front, people["wanda"], CIVIC)
    post = receipt["post_id"]
    assert (receipt["result"], receipt["reasons"]) == ("awaiting_approval", ["sensitive-topics: civic life: vote"])
    [waits] = (await front.call("GET", "/approvals", params={"rule": "sensitive-topics"})).json()
    morning = (await front.call("GET", "/today")).json()
    assert ("approval", 1, True) in [(item["what"], item["count"], item["person"]) for item in morning["items"]]
    assert (waits["post_id"], waits["authors"], waits["text_before"]) == (post, ["wanda/tests"], None)
    assert await decide(front, people["wanda"], "approve", post) == [("not_decided", "own")]
    assert await decide(front, people["alma"], "approve", post) == [("approved", None)]
    found = await shown(front, post)
    [verdict] = found["verdicts"]
    assert (found["status"], verdict["allowed"], verdict["approved_by"]) == ("scheduled", True, "alma/tests")
    assert await decide(front, people["alma"], "approve", post) == [("not_decided", "gone")]
    story = (await front.call("GET", f"/posts/{post}/why")).json()
    assert any("approved by alma/tests" in line["said"] for line in story["lines"])


@pytest.mark.promise("P6")
async def test_other_words_need_another_approval_and_the_same_at_another_time_do_not(
    front: Front, people: dict[str, dict[str, str]]
) -> None:
    post = (await write(front, people["wanda"], CIVIC))[0]["post_id"]
    await decide(front, people["alma"], "approve", post)
    path = f"/posts/{post}"
    later = {"due_at": (LATER + timedelta(hours=1)).isoformat()}
    moved = (await front.call("PATCH", path, json=later)).json()
    assert (moved["post"]["status"], moved["receipt"]["result"]) == ("scheduled", "scheduled")
    changed = (await front.call("PATCH", path, json={"text": f"{CIVIC} Vote for us!"})).json()
    assert (changed["post"]["status"], changed["receipt"]["result"]) == ("awaiting_approval", "awaiting_approval")
    [waits] = (await front.call("GET", "/approvals")).json()
    assert (waits["text_before"], waits["revision"]) == (CIVIC, 3)
    assert await decide(front, people["alma"], "approve", post, revision=2) == [("not_decided", "changed")]
    # Who changed it wrote it as well.
    assert await decide(front, people["wanda"], "approve", post, revision=3) == [("not_decided", "own")]
    harmless = (await front.call("PATCH", path, json={"text": "Rain until noon."})).json()
    assert harmless["post"]["status"] == "scheduled"
    assert (await front.call("GET", "/approvals")).json() == []


async def test_a_thread_waits_and_goes_as_a_whole(front: Front, people: dict[str, dict[str, str]]) -> None:
    parts = await write(front, people["wanda"], "Sunday is a big day.", CIVIC, thread="t")
    assert [one["result"] for one in parts] == ["awaiting_approval", "awaiting_approval"]
    assert await decide(front, people["alma"], "approve", parts[1]["post_id"]) == [("approved", None)] * 2
    assert [(await shown(front, one["post_id"]))["status"] for one in parts] == ["scheduled", "scheduled"]


async def test_what_is_rejected_ends_and_a_label_bounds_who_may(
    front: Front, people: dict[str, dict[str, str]]
) -> None:
    [ours] = await write(front, people["wanda"], CIVIC)
    [theirs] = await write(front, people["wanda"], "A new vaccine is here.", bot="bot_1")
    header = people["local"]
    listed = (await front.anybody.get("/api/v1/approvals", headers=header)).json()
    assert [one["post_id"] for one in listed] == [ours["post_id"]]
    assert await decide(front, header, "reject", ours["post_id"], theirs["post_id"]) == [
        ("rejected", None),
        ("not_decided", "gone"),
    ]
    found = await shown(front, ours["post_id"])
    assert (found["status"], found["reason"]) == ("rejected", "rejected by local/tests: read twice")
    assert (await shown(front, theirs["post_id"]))["status"] == "awaiting_approval"


async def test_what_somebody_left_behind_unapproved_ends_with_him(
    front: Front, people: dict[str, dict[str, str]]
) -> None:
    [receipt] = await write(front, people["wanda"], CIVIC)
    ended = (await front.call("POST", "/users/wanda/offboard")).json()
    assert ended["approvals"] == 1
    found = await shown(front, receipt["post_id"])
    assert (found["status"], found["reason"]) == ("rejected", "wanda left before anybody approved it")


@pytest.mark.promise("P6")
async def test_a_check_explains_and_stores_nothing(front: Front, people: dict[str, dict[str, str]]) -> None:
    texts = (CIVIC, "Hello @somebody", "Rain until noon.")
    drafts = [a_draft(bot="bot_0", text=one, due_at=LATER).model_dump(mode="json") for one in texts]
    answer = await front.anybody.post("/api/v1/posts/check", json=drafts, headers=people["wanda"])
    found = answer.raise_for_status().json()
    assert [one["result"] for one in found] == ["awaiting_approval", "refused", "scheduled"]
    [finding] = found[1]["findings"]
    assert (finding["rule"], finding["severity"], finding["x_policy"]) == ("unsummoned-mention", "refuse", True)
    assert finding["evidence"] == "it names @somebody, who did not ask for it"
    assert finding["source"].startswith("https://help.x.com/")
    assert finding["advice"]
    assert (await front.call("GET", "/posts/counts")).json() == {}
    assert (await front.call("GET", "/approvals")).json() == []
