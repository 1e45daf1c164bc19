"""Threads, polls, pictures and films on their way to X."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from tasks.domain.credentials import access_path
from tasks.domain.media import MediaError
from tasks.domain.posts import Poll
from tasks.domain.roles import system
from tasks.operations import delivery, media, posts, reconciliation, threads, uncertain
from tasks.operations.posts import NotOutError
from tasks.operations.threads import ThreadError
from tasks.operations.uncertain import Resolution
from tests.delivery.conftest import Sender
from tests.makers import a_draft
from tests.waiting import until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(200_000)
US = system("tests")
LATER = datetime(2100, 1, 1, tzinfo=UTC)


async def now_due(sender: Sender, *texts: str, **given: Any) -> list[UUID]:
    """A thread of the first bot, due now, with its ids in order."""
    async with sender.at.transaction() as session:
        due_at = (await session.execute(text("SELECT app_now()"))).scalar_one()
    drafts = [a_draft(bot="bot_0", text=one, due_at=due_at, thread="t", **given) for one in texts]
    receipts = await posts.schedule(sender.at, drafts, US, "api")
    assert {receipt.result for receipt in receipts} == {"scheduled"}, receipts
    return [receipt.post_id for receipt in receipts if receipt.post_id]


async def of(content: bytes) -> AsyncIterator[bytes]:
    """A body in pieces."""
    for start in range(0, len(content), 10_000):
        yield content[start : start + 10_000]


async def statuses(sender: Sender, ids: list[UUID]) -> list[str]:
    return [(await sender.post(one)).status for one in ids]


async def test_the_parts_of_a_thread_go_out_in_order_each_as_a_reply_to_the_one_before(sender: Sender) -> None:
    await sender.with_bots(1)
    ids = await now_due(sender, "one", "two", "three")
    await sender.run(3)
    entries = sender.ledger()
    assert [entry["text"] for entry in entries] == ["one", "two", "three"]
    assert [entry.get("in_reply_to") for entry in entries] == [None, entries[0]["x_post_id"], entries[1]["x_post_id"]]
    assert await statuses(sender, ids) == ["published"] * 3


@pytest.mark.promise("P1")
async def test_a_part_waits_while_the_one_before_is_in_doubt(sender: Sender) -> None:
    await sender.with_bots(1)
    sender.x.control.post("/faults", json={"fault": "drop", "when": "after", "endpoint": "POST /2/tweets", "count": 1})
    ids = await now_due(sender, "one", "two")
    await sender.run(2)
    assert await statuses(sender, ids) == ["unknown", "scheduled"]
    assert len(sender.ledger()) == 1
    with pytest.raises(ThreadError, match="part 1 is in doubt: settle it first"):
        await threads.resume(sender.at, ids[1], US)


@pytest.mark.promise("P1")
async def test_after_a_part_in_doubt_that_is_deleted_on_x_the_next_is_held_with_its_place(sender: Sender) -> None:
    await sender.with_bots(1)
    sender.x.fault("drop", when="after", endpoint="POST /2/tweets", count=1)
    ids = await now_due(sender, "one", "two")
    await sender.run(1)
    await sender.reconcile()
    # The first part of a thread is followed by others, and its text alone proves nothing.
    assert await statuses(sender, ids) == ["held", "scheduled"]
    url = f"https://x.com/bot_0/status/{sender.ledger()[0]['x_post_id']}"
    found = Resolution.model_validate({"post_id": ids[0], "choice": "published", "url": url})
    await uncertain.resolve(sender.at, [found], US, "as seen on X", even_so=False)
    await posts.delete(sender.at, ids[0], US)
    await sender.run(0.5)
    await sender.reconcile()
    await delivery.sweep(sender.at)
    await sender.run(0.5)
    assert await statuses(sender, ids) == ["deleted", "held"]
    assert (await sender.post(ids[1])).reason == "thread: part 1 is deleted, so part 2 does not follow it"
    assert (len(sender.ledger()), len(sender.x.ledger("delete"))) == (1, 1)


async def test_a_part_that_is_claimed_goes_out_no_more_once_the_one_before_is_to_be_deleted(sender: Sender) -> None:
    await sender.with_bots(1)
    sender.with_settings("posting", ahead_seconds=60, lease_seconds=60)
    first, second = await now_due(sender, "one", "two")
    await sender.sql("UPDATE posts SET next_at = next_at + interval '5 s' WHERE id = :id", id=second)
    run = asyncio.create_task(sender.run(60))
    await until(lambda: _is(sender, second, "claimed"))
    await posts.delete(sender.at, first, US)
    assert (await sender.post(second)).reason == "waits: the part before it is to be deleted"
    await asyncio.sleep(6)
    assert [entry["text"] for entry in sender.ledger()] == ["one"]
    await reconciliation.delete_unwanted(sender.at)
    await delivery.sweep(sender.at)
    assert (await sender.post(second)).reason == "thread: part 1 is deleted, so part 2 does not follow it"
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run


async def _is(sender: Sender, post: UUID, status: str) -> bool:
    return (await sender.post(post)).status == status


async def test_a_broken_thread_says_where_and_goes_on_behind_what_is_out(sender: Sender) -> None:
    await sender.with_bots(1)
    sender.x.control.post(
        "/faults",
        json={"fault": "problem", "problem": "forbidden", "endpoint": "POST /2/tweets", "probability": 1, "count": 2},
    )
    broken, *rest = await now_due(sender, "one", "two", "three")
    await sender.run(1)
    await delivery.sweep(sender.at)
    assert await statuses(sender, [broken, *rest]) == ["refused", "held", "scheduled"]
    assert (await sender.post(rest[0])).reason == "thread: part 1 is refused, so part 2 does not follow it"
    sender.x.control.delete("/faults")
    resumed = await threads.resume(sender.at, rest[1], US)
    assert (resumed.going_on, resumed.left_out) == (tuple(rest), (broken,))
    await sender.run(2)
    assert await statuses(sender, rest) == ["published"] * 2
    assert [(entry["text"], entry.get("in_reply_to")) for entry in sender.ledger()] == [
        ("two", None),
        ("three", sender.ledger()[0]["x_post_id"]),
    ]
    with pytest.raises(ThreadError, match="this thread is whole"):
        await threads.resume(sender.at, rest[0], US)


async def test_a_thread_of_which_one_part_is_refused_is_not_begun(sender: Sender) -> None:
    await sender.with_bots(1)
    drafts = [a_draft(bot="bot_0", thread="t", due_at=LATER, text=one) for one in ("fine", "x" * 281)]
    found = await posts.schedule(sender.at, drafts, US, "api")
    assert [receipt.result for receipt in found] == ["refused", "refused"]
    assert found[0].reasons == ("thread: part 2 of 2 is refused",)


async def test_a_thread_that_stands_takes_no_more_parts(sender: Sender) -> None:
    await sender.with_bots(1)
    parts = [a_draft(bot="bot_0", thread="t", due_at=LATER, external_id=str(number)) for number in range(3)]
    await posts.schedule(sender.at, parts[:2], US, "api")
    again = await posts.schedule(sender.at, parts, US, "api")
    assert [receipt.result for receipt in again] == ["unchanged", "unchanged", "conflict"]


async def test_a_poll_reaches_x(sender: Sender) -> None:
    await sender.with_bots(1)
    [post] = await now_due(sender, "Rain?", poll=Poll(options=("yes", "no"), duration_minutes=60))
    await sender.run(1)
    assert (await sender.post(post)).status == "published"
    assert {name: sender.ledger()[0]["poll"][name] for name in ("options", "duration_minutes")} == {
        "options": ["yes", "no"],
        "duration_minutes": 60,
    }


async def test_a_picture_is_laid_at_x_ahead_and_shown_with_its_alternative_text(sender: Sender) -> None:
    await sender.with_bots(1)
    found = await media.store(sender.at, "bot_0", "rain.png", of(PNG), "A wet street", US)
    assert await media.store(sender.at, "bot_0", "again.png", of(PNG), "A wet street", US) == found
    [post] = await now_due(sender, "", media=(found.id,))
    await sender.run(3)
    assert (await sender.post(post)).status == "published"
    [entry] = sender.ledger()
    assert len(entry["media_keys"]) == 1
    rows = await _uploads(sender, post)
    assert [(row["ended"], row["media_key"]) for row in rows] == [("ready", entry["media_keys"][0])]
    assert rows[0]["attempt_id"] is not None
    described = [each["alt_text"] for each in sender.x.ledger("media") if "alt_text" in each]
    assert described[-1:] == ["A wet street"]


async def test_a_film_is_worked_up_before_its_post_goes(sender: Sender) -> None:
    await sender.with_bots(1)
    sender.x.control.post("/settings", json={"media_processing_seconds": 0.5})
    found = await media.store(sender.at, "bot_0", "rain.mp4", of(MP4), None, US)
    [post] = await now_due(sender, "A film", media=(found.id,))
    await sender.run(4)
    assert (await sender.post(post)).status == "published"


async def test_an_upload_that_fails_says_so_on_its_post_and_is_tried_again(sender: Sender) -> None:
    await sender.with_bots(1)
    sender.x.control.post(
        "/faults",
        json={"fault": "error", "status": 503, "endpoint": "POST /2/media/upload/initialize", "count": 1},
    )
    found = await media.store(sender.at, "bot_0", "rain.png", of(PNG), None, US)
    [post] = await now_due(sender, "A picture", media=(found.id,))
    running = asyncio.create_task(sender.run(4))
    async with asyncio.timeout(3):
        while not (await sender.post(post)).reason:
            await asyncio.sleep(0.02)
    assert str((await sender.post(post)).reason).startswith("media 1: ")
    await running
    assert (await sender.post(post)).status == "published"
    assert [row["ended"] for row in await _uploads(sender, post)] == ["failed", "ready"]


@pytest.mark.promise("P1")
async def test_each_attempt_has_an_upload_of_its_own(sender: Sender) -> None:
    await sender.with_bots(1)
    sender.x.control.post(
        "/faults", json={"fault": "problem", "problem": "too-many-requests", "endpoint": "POST /2/tweets", "count": 1}
    )
    found = await media.store(sender.at, "bot_0", "rain.png", of(PNG), None, US)
    [post] = await now_due(sender, "A picture", media=(found.id,))
    await sender.run(5)
    assert (await sender.post(post)).status == "published"
    rows = await _uploads(sender, post)
    assert len({row["attempt_id"] for row in rows}) == 2
    assert len({row["media_key"] for row in rows}) == 2
    assert sender.ledger()[0]["media_keys"] == [rows[1]["media_key"]]


async def test_an_upload_that_x_forgot_is_done_again(sender: Sender) -> None:
    await sender.with_bots(1)
    found = await media.store(sender.at, "bot_0", "rain.png", of(PNG), None, US)
    [post] = await now_due(sender, "A picture", media=(found.id,))
    [needed] = await media.needed(sender.at)
    assert [one.problem for one in await media.upload(sender.at, [needed])] == [None]
    assert await media.needed(sender.at) == []
    await sender.sql("UPDATE media_uploads SET expires_at = app_now() + interval '90 seconds'")
    assert [one.post_id for one in await media.needed(sender.at)] == [post]


async def test_media_of_another_bot_or_of_nobody_is_refused(sender: Sender) -> None:
    await sender.with_bots(2)
    theirs = await media.store(sender.at, "bot_1", "rain.png", of(PNG), None, US)
    drafts = [a_draft(bot="bot_0", due_at=LATER, media=(one,)) for one in (theirs.id, UUID(int=7))]
    found = await posts.schedule(sender.at, drafts, US, "api")
    assert [receipt.reasons[0].split(":")[0] for receipt in found] == ["unknown-media"] * 2


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(6 * 1024 * 1024)])
async def test_what_x_would_not_take_is_not_kept(sender: Sender, content: bytes) -> None:
    await sender.with_bots(1)
    with pytest.raises(MediaError):
        await media.store(sender.at, "bot_0", "x", of(content), None, US)
    async with sender.at.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM media_assets"))).scalar_one() == 0


async def _uploads(sender: Sender, post: UUID) -> list[dict[str, Any]]:
    async with sender.at.transaction() as session:
        found = await session.execute(
            text("SELECT * FROM media_uploads WHERE post_id = :post ORDER BY started_at"), {"post": post}
        )
        return [dict(row._mapping) for row in found]


@pytest.mark.promise("P1")
async def test_a_lost_answer_is_found_by_the_key_of_its_picture_although_a_twin_was_posted_by_hand(
    sender: Sender,
) -> None:
    bot = (await sender.with_bots(1))[0]
    picture = await media.store(sender.at, "bot_0", "rain.png", of(PNG), None, US)
    sender.x.control.post("/settings", json={"duplicate_refusal": False})
    sender.x.control.post("/faults", json={"fault": "drop", "when": "after", "endpoint": "POST /2/tweets", "count": 1})
    [post] = await now_due(sender, "The street", media=(picture.id,))
    await sender.run(3)
    assert (await sender.post(post)).status == "unknown"
    [entry] = sender.ledger()
    token = sender.kv.secrets[access_path(bot)]["access_token"]
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as hand:
        by_hand = await hand.post(f"{sender.x.url}/2/tweets", json={"text": "The street"})
    assert by_hand.status_code == 201, by_hand.text
    [found] = await reconciliation.look(sender.at)
    assert (found.seen, found.x_post_ids, found.verdict) == ("marked", (entry["x_post_id"],), "published")
    assert (await sender.post(post)).x_post_id == entry["x_post_id"]


async def test_a_post_that_is_out_is_deleted_on_x_when_a_person_wants_it(sender: Sender) -> None:
    await sender.with_bots(1)
    [post] = await now_due(sender, "A slip")
    with pytest.raises(NotOutError, match="the post is scheduled"):
        await posts.delete(sender.at, post, US)
    await sender.run(1)
    await posts.delete(sender.at, post, US)
    assert [one async for one in reconciliation.reconcile(sender.at, 0.5)]
    assert ((await sender.post(post)).status, (await sender.post(post)).reason) == (
        "deleted",
        "deleted on X, as tests wanted",
    )
    assert [entry["x_post_id"] for entry in sender.x.ledger("delete")] == [sender.ledger()[0]["x_post_id"]]
    assert [one async for one in reconciliation.reconcile(sender.at, 0.2)] == []
