"""Stops on a sender at work: what X saw after a stop had returned."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from blocks.process import state_and_ticks, this_process
from tasks.domain.roles import Actor, Grant, system
from tasks.operations import stops
from tasks.operations.bots import NoSuchBotError
from tasks.operations.stops import NoSuchStopError, Target
from tasks.operations.x_apps import NoSuchAppError
from tasks.store import base, senders
from tests.delivery.conftest import Sender
from tests.makers import stored_app
from tests.waiting import until

OPS = system("ops")
FLEET = Target("fleet")


async def first_bytes(sender: Sender) -> list[datetime]:
    return [datetime.fromisoformat(entry["first_byte_at"]) for entry in sender.ledger()]


@pytest.mark.promise("P4")
async def test_after_a_stop_has_returned_nothing_starts_and_after_a_resume_it_goes_on(sender: Sender) -> None:
    bots = await sender.with_bots(5)
    for bot in bots:
        for number in range(10):
            await sender.schedule(bot, 1, due_in_seconds=number * 0.3)
    sender.x.settings(latency_ms=20)
    run = asyncio.create_task(sender.run(6))
    await sender.accepted(5)
    began = time.monotonic()
    stopped = await stops.stop(sender.at, FLEET, "fire", OPS)
    returned = datetime.now(UTC)
    assert time.monotonic() - began < 5
    assert stopped.stop.reason == "fire"
    await stops.say_silence(sender.at)
    await beaten(sender, 4)
    assert [instant for instant in await first_bytes(sender) if instant > returned] == []
    before = len(sender.ledger())
    look = await stops.look_at_resumption(sender.at, [stopped.stop.id], OPS)
    assert sum(row.goes_out for row in look.overdue) > 0
    assert {row.expires for row in look.overdue} == {0}
    waiting = "SELECT reason FROM posts WHERE status = 'scheduled' AND next_at < app_now() - interval '1 s'"
    async with sender.at.transaction() as session:
        reasons = {row.reason for row in await session.execute(text(waiting))}
    assert reasons <= {"waits: stopped by ops: fire"}
    await stops.resume(sender.at, [stopped.stop.id], OPS)
    await sender.accepted(before + 1)
    await run
    with pytest.raises(NoSuchStopError):
        await stops.resume(sender.at, [stopped.stop.id], OPS)


@pytest.mark.promise("P4")
async def test_a_session_frozen_in_the_middle_of_a_mark_does_not_hold_a_stop_up(sender: Sender) -> None:
    """As a sender that was stopped by SIGSTOP between its mark and its commit would."""
    async with sender.at.engine.connect() as frozen:
        await frozen.execute(text("SELECT pg_advisory_xact_lock_shared(stop_key())"))
        began = time.monotonic()
        stopped = await stops.stop(sender.at, FLEET, "fire", OPS)
        assert time.monotonic() - began < 5
        assert stopped.ended_marks == 1
        await frozen.invalidate()


@pytest.mark.promise("P4")
async def test_a_row_lock_held_long_does_not_let_a_mark_through_after_the_stop(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot, due_in_seconds=0.5)
    run = asyncio.create_task(sender.run(4))
    await until(lambda: status(sender, "claimed"))
    async with sender.at.transaction() as holder:
        await holder.execute(text("SELECT 1 FROM posts WHERE id = :id FOR UPDATE"), {"id": post})
        await asyncio.sleep(0.8)
        began = time.monotonic()
        await stops.stop(sender.at, FLEET, "fire", OPS)
        assert time.monotonic() - began < 5
    await run
    assert sender.ledger() == []
    assert (await sender.post(post)).status == "scheduled"


async def status(sender: Sender, wanted: str) -> bool:
    async with sender.at.transaction() as session:
        found = await session.execute(text("SELECT 1 FROM posts WHERE status = :wanted"), {"wanted": wanted})
        return found.first() is not None


@pytest.mark.promise("P4")
async def test_what_left_before_is_listed(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    sender.x.fault("freeze", endpoint="POST /2/tweets", when="before", count=1)
    run = asyncio.create_task(sender.run(1))
    await until(lambda: status(sender, "sending"))
    # The answer is waited for longer than the start may take.
    await sender.sql("UPDATE publish_attempts SET start_by = app_now()")
    stopped = await stops.stop(sender.at, Target("bot", "bot_0"), "look at it", OPS)
    assert [flying.post_id for flying in stopped.in_flight] == [post]
    await run


@pytest.mark.promise("P4")
async def test_a_hard_stop_kills_a_sender_of_this_host_that_froze(sender: Sender) -> None:
    process = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        process.send_signal(signal.SIGSTOP)
        await register(sender, process.pid)
        soft = await stops.stop(sender.at, FLEET, "fire", OPS)
        assert soft.killed == ()
        assert process.poll() is None
        hard = await stops.stop(sender.at, FLEET, "fire", OPS, hard=True)
        assert list(hard.killed) == [process.pid]
        assert process.wait(5) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()


async def register(sender: Sender, pid: int) -> None:
    me, found = this_process(), state_and_ticks(pid)
    assert found is not None
    async with sender.at.transaction() as session:
        await senders.add(
            session,
            host=me.host,
            boot_id=me.boot_id,
            pid_namespace=me.pid_namespace,
            pid=pid,
            start_ticks=found[1],
            flow_run_id=None,
        )


@pytest.mark.parametrize("target", [Target("label", "wien"), Target("bot", "bot_0"), Target("app", "city")])
async def test_a_stop_is_for_those_it_names_alone(sender: Sender, target: Target) -> None:
    first, second = await sender.with_bots(2)
    async with sender.at.transaction() as session:
        await stored_app(session, name="city")
    await sender.sql("UPDATE bots SET labels = '{wien}', x_app_id = (SELECT id FROM x_apps) WHERE id = :id", id=first)
    await stops.stop(sender.at, target, "fire", OPS, ends_at=datetime.now(UTC) + timedelta(hours=1))
    for bot in (first, second):
        await sender.schedule(bot)
    await sender.run(0.5)
    assert [entry["username"] for entry in sender.ledger()] == ["bot_1"]


async def test_a_bot_with_two_labels_is_silent_while_either_is_stopped(sender: Sender) -> None:
    await sender.with_bots(3)
    for number, labels in enumerate((["wien", "wetter"], ["wetter"], ["graz"])):
        await sender.sql("UPDATE bots SET labels = :labels WHERE id = :id", labels=labels, id=sender.bots[number])
        await sender.schedule(sender.bots[number])
    wien = (await stops.stop(sender.at, Target("label", "wien"), "fire", OPS)).stop.id
    wetter = (await stops.stop(sender.at, Target("label", "wetter"), "flood", OPS)).stop.id

    async def spoke() -> set[str]:
        await sender.sql("UPDATE posts SET next_at = app_now() WHERE status = 'scheduled'")
        await sender.run(0.5)
        return {entry["username"] for entry in sender.ledger()}

    async def would_go_out(*stop_ids: UUID) -> dict[str, int]:
        look = await stops.look_at_resumption(sender.at, stop_ids, OPS)
        return {row.bot: row.goes_out for row in look.overdue}

    assert await spoke() == {"bot_2"}
    assert (await would_go_out(wien), await would_go_out(wetter)) == ({}, {"bot_1": 1})
    assert await would_go_out(wien, wetter) == {"bot_0": 1, "bot_1": 1}
    await stops.resume(sender.at, [wetter], OPS)
    assert await spoke() == {"bot_1", "bot_2"}
    await stops.resume(sender.at, [wien], OPS)
    assert await spoke() == {"bot_0", "bot_1", "bot_2"}
    assert len(sender.ledger()) == 3


@pytest.mark.promise("P4")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("hard", [False, True], ids=["stop", "stop --hard"])
async def test_under_load_with_rows_locked_for_five_seconds_and_a_frozen_sender_nothing_starts_after_it(
    sender: Sender, hard: bool
) -> None:
    sender.x.settings(latency_ms=30)
    bots = await sender.with_bots(10)
    processes = [sender.process(90) for _ in range(3)]
    await until(lambda: _beat(sender, len(processes)))
    # The stop comes in the midst of it; so late that many are claimed and marked, so early that many are to come.
    posts = [
        post
        for bot in bots
        for number in range(12)
        for post in await sender.schedule(bot, due_in_seconds=2 + number * 0.5)
    ]
    pids = {process.pid for process in processes}
    frozen = processes[0]
    try:
        await sender.accepted(10)
        async with AsyncExitStack() as while_locked:
            locked = await while_locked.enter_async_context(sender.at.engine.connect())
            claimed = "SELECT 1 FROM posts WHERE status = 'claimed' ORDER BY id LIMIT 20 FOR UPDATE SKIP LOCKED"
            assert (await locked.execute(text(claimed))).all()
            locked_since = time.monotonic()
            os.kill(frozen.pid or 0, signal.SIGSTOP)
            began = time.monotonic()
            stopped = await stops.stop(sender.at, FLEET, "fire", OPS, hard=hard)
            returned = datetime.now(UTC)
            assert time.monotonic() - began < 5
            await asyncio.sleep(max(0, 5 - (time.monotonic() - locked_since)))
        if hard:
            assert set(stopped.killed) == pids
            for process in processes:
                await asyncio.to_thread(process.join, 10)
                assert process.exitcode == -signal.SIGKILL
        else:
            os.kill(frozen.pid or 0, signal.SIGCONT)
            # The one that thawed, too, has looked for posts several times since.
            await beaten(sender, 6)
        starts = await first_bytes(sender)
        assert len(starts) >= 10
        assert [instant for instant in starts if instant > returned] == []
        assert len(starts) < len(posts)
    finally:
        for process in processes:
            process.kill()
            process.join()


async def beaten(sender: Sender, times: int) -> None:
    """Wait until every sender alive has gone round so many times."""
    async with sender.at.transaction() as session:
        now = await base.now(session)
    since = now + timedelta(seconds=times * sender.at.places.settings.posting.beat_seconds)
    # Those that live all beat after that.
    behind = "SELECT 1 FROM senders WHERE closed_at IS NULL AND died_at IS NULL AND beat_at < :since"

    async def all_have() -> bool:
        async with sender.at.transaction() as session:
            return (await session.execute(text(behind), {"since": since})).first() is None

    await until(all_have)


async def test_what_is_not_there_cannot_be_stopped_and_a_label_bounds_who_may(sender: Sender) -> None:
    await sender.with_bots(1, labels=["wien"])
    viennese = Actor("eva", "user", frozenset({Grant("operator", "wien")}))
    with pytest.raises(NoSuchBotError):
        await stops.stop(sender.at, Target("bot", "nobody"), "x", OPS)
    with pytest.raises(NoSuchAppError):
        await stops.stop(sender.at, Target("app", "nothing"), "x", OPS)
    with pytest.raises(PermissionError):
        await stops.stop(sender.at, FLEET, "x", viennese)
    stopped = await stops.stop(sender.at, Target("bot", "bot_0"), "x", viennese)
    assert [row.id for row in await stops.standing(sender.at, viennese)] == [stopped.stop.id]
    others = await stops.stop(sender.at, Target("label", "graz"), "x", OPS)
    berliner = Actor("ada", "user", frozenset({Grant("operator", "berlin")}))
    assert await stops.standing(sender.at, berliner) == []
    for stop in (stopped, others):
        with pytest.raises(NoSuchStopError):
            await stops.look_at_resumption(sender.at, [stop.stop.id], berliner)


async def _beat(sender: Sender, count: int) -> bool:
    async with sender.at.transaction() as session:
        return int((await session.execute(text("SELECT count(*) FROM senders"))).scalar_one()) == count
