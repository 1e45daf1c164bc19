"""Senders killed at each point between claim and outcome; X's ledger judges, joined to the attempts by their traces."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from signal import SIGCONT, SIGKILL, SIGSTOP
from uuid import UUID

import pytest
from sqlalchemy import text

from tasks.operations import delivery
from tests.delivery.conftest import Sender
from tests.delivery.sender_process import POINTS
from tests.waiting import until

pytestmark = [pytest.mark.promise("P1"), pytest.mark.promise("P2")]

POSTS_A_POINT = 6
# Of the profile `fast`: long enough for settle, visible and two reads, and for a second attempt to be in doubt as well,
# on a machine that is busy with other tests.
PATIENCE_SECONDS = 120.0


async def statuses(sender: Sender, posts: Sequence[UUID]) -> Counter[str]:
    """How many stand where."""
    return Counter([(await sender.post(post)).status for post in posts])


async def at_work(sender: Sender) -> BaseProcess:
    """Another sender that beats: how long a process takes to start is no part of what a test times."""
    process = sender.process()
    await until(lambda: _beats(sender))
    return process


async def until_decided(sender: Sender, posts: Sequence[UUID]) -> None:
    """Sweep, look and send, as clerk and runs do, until every post has ended."""
    survivor = sender.process(PATIENCE_SECONDS)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while set(await statuses(sender, posts)) & {"scheduled", "claimed", "sending", "unknown"}:
                await delivery.sweep(sender.at)
                await sender.reconcile(0.2)
                await asyncio.sleep(0.1)
    finally:
        survivor.kill()
        survivor.join()


async def judged_by_the_ledger(sender: Sender, posts: Sequence[UUID]) -> None:
    """One create for each post, made by the attempt that says so."""
    rows = [await sender.post(post) for post in posts]
    ledger = sender.ledger()
    assert {row.status for row in rows} == {"published"}, Counter((row.status, row.reason) for row in rows)
    assert Counter(entry["text"] for entry in ledger) == Counter(row.text for row in rows)
    async with sender.at.transaction() as session:
        found = await session.execute(
            text("SELECT id, post_id, x_post_id, ended FROM publish_attempts WHERE post_id = ANY(:ids)"),
            {"ids": list(posts)},
        )
        attempts = {row.id.hex: row for row in found}
    for entry in ledger:
        made_by = attempts[entry["traceparent"].split("-")[1]]
        assert (made_by.ended, made_by.x_post_id) == ("accepted", entry["x_post_id"])
    assert sum(row.ended == "accepted" for row in attempts.values()) == len(posts)


@pytest.mark.parametrize("refusal", [False, True], ids=["duplicates taken", "duplicates refused"])
async def test_a_sender_killed_at_any_point_posts_each_once(sender: Sender, refusal: bool) -> None:
    sender.x.settings(duplicate_refusal=refusal, visibility_lag_seconds=[0, 2], latency_ms=[0, 50])
    bots = await sender.with_bots(POSTS_A_POINT)
    posts: list[UUID] = []
    for point in POINTS:
        posts += [(await sender.schedule(bot))[0] for bot in bots]
        victim = sender.process(dies=point)
        await asyncio.to_thread(victim.join, 20)
        assert victim.exitcode == -SIGKILL, point
    await until_decided(sender, posts)
    await judged_by_the_ledger(sender, posts)


async def test_a_sender_that_sleeps_between_mark_and_first_byte_sends_nothing_when_it_wakes(sender: Sender) -> None:
    sender.with_settings("posting", start_within_seconds=1, give_up_seconds=30)
    bots = await sender.with_bots(POSTS_A_POINT)
    posts = [(await sender.schedule(bot))[0] for bot in bots]
    victim = sender.process(dies="marked", by=SIGSTOP)
    await until(lambda: _sending(sender, posts))
    # Longer than a start may come after its mark.
    await asyncio.sleep(2)
    assert sender.ledger() == []
    marked = await _sending(sender, posts)
    assert victim.pid is not None
    os.kill(victim.pid, SIGCONT)
    await until(lambda: _all(sender, posts, "published"))
    victim.kill()
    victim.join()
    async with sender.at.transaction() as session:
        ended = await session.execute(text("SELECT ended, count(*) FROM publish_attempts GROUP BY ended"))
        found = {row.ended: row.count for row in ended}
    assert found == {"not_sent": marked, "accepted": POSTS_A_POINT}
    await judged_by_the_ledger(sender, posts)


async def test_a_sender_that_sleeps_past_every_deadline_is_not_dead_and_nothing_is_sent_again(sender: Sender) -> None:
    sender.x.settings(latency_ms=1500)
    bots = await sender.with_bots(POSTS_A_POINT)
    victim = await at_work(sender)
    posts = [(await sender.schedule(bot))[0] for bot in bots]
    assert victim.pid is not None
    await until(lambda: _all(sender, posts, "sending"))
    os.kill(victim.pid, SIGSTOP)
    sender.x.settings(visibility_lag_seconds=3600)
    try:
        await until(lambda: _swept(sender, posts))
        await sender.reconcile(5.5)
        assert await statuses(sender, posts) == {"unknown": POSTS_A_POINT}
        assert await sender.run(0.3) == []
    finally:
        os.kill(victim.pid, SIGCONT)
    await until(lambda: _decided(sender, posts))
    victim.kill()
    victim.join()
    await judged_by_the_ledger(sender, posts)


async def test_what_lies_in_the_queue_of_an_x_that_stood_still_is_found_there(sender: Sender) -> None:
    sender.with_settings("x", settle_seconds=3)
    bots = await sender.with_bots(POSTS_A_POINT)
    victim = await at_work(sender)
    posts = [(await sender.schedule(bot, due_in_seconds=3))[0] for bot in bots]
    await until(lambda: _all(sender, posts, "claimed"))
    sender.x.pause()
    try:
        await until(lambda: _all(sender, posts, "sending"))
        await asyncio.sleep(0.3)
        victim.kill()
        victim.join()
    finally:
        sender.x.resume()
    await until_decided(sender, posts)
    await judged_by_the_ledger(sender, posts)
    async with sender.at.transaction() as session:
        by = await session.execute(text("SELECT DISTINCT settled_by FROM publish_attempts"))
        assert [row.settled_by for row in by] == ["timeline"]


async def _beats(sender: Sender) -> bool:
    async with sender.at.transaction() as session:
        return bool((await session.execute(text("SELECT EXISTS (SELECT 1 FROM senders)"))).scalar_one())


async def _sending(sender: Sender, posts: Sequence[UUID]) -> int:
    return (await statuses(sender, posts))["sending"]


async def _all(sender: Sender, posts: Sequence[UUID], status: str) -> bool:
    return set(await statuses(sender, posts)) == {status}


async def _swept(sender: Sender, posts: Sequence[UUID]) -> bool:
    await delivery.sweep(sender.at)
    return await _all(sender, posts, "unknown")


async def _decided(sender: Sender, posts: Sequence[UUID]) -> bool:
    await sender.reconcile(0.1)
    return await _all(sender, posts, "published")
