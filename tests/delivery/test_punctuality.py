"""Who goes first when much is due, and what becomes of posts that could not leave in time."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy import text

from config.settings import Posting
from tasks.operations import delivery
from tasks.store import audit, base
from tests.delivery.conftest import Sender

pytestmark = pytest.mark.promise("P3")

SMALL, BIG_POSTS, BIG_SENT_MOST = 99, 1000, 12


async def test_a_bot_with_a_thousand_due_posts_keeps_none_of_the_others_waiting(sender: Sender) -> None:
    big, *small = await sender.with_bots(1 + SMALL)
    sender.x.control.post("/settings", json={"latency_ms": 20})
    await sender.schedule(big, BIG_POSTS)
    for bot in small:
        await sender.schedule(bot)
    running = asyncio.create_task(sender.run(2))
    try:
        order = await _handles_in_order(sender, SMALL + 1)
    finally:
        await running
    before = order[: max(at for at, handle in enumerate(order) if handle != "bot_0")]
    assert len({handle for handle in order if handle != "bot_0"}) == SMALL
    assert before.count("bot_0") < BIG_SENT_MOST, Counter(before).most_common(3)


async def _handles_in_order(sender: Sender, bots: int) -> list[str]:
    """Whose posts X began to read, in that order, once it has one of each bot."""
    async with asyncio.timeout(20):
        while len({entry["username"] for entry in sender.ledger()}) < bots:
            await asyncio.sleep(0.1)
    entries = sorted(sender.ledger(), key=lambda entry: str(entry["first_byte_at"]))
    return [str(entry["username"]) for entry in entries]


async def test_what_comes_while_a_big_bot_is_being_served_waits_for_a_round(sender: Sender) -> None:
    big, small = await sender.with_bots(2)
    sender.x.control.post("/settings", json={"latency_ms": 200})
    await sender.schedule(big, 90)
    running = asyncio.create_task(sender.run(3))
    await sender.accepted(1)
    [late_comer] = await sender.schedule(small)
    await running
    entries = sorted(sender.ledger(), key=lambda entry: str(entry["first_byte_at"]))
    place = [entry["username"] for entry in entries].index("bot_1")
    assert (await sender.post(late_comer)).status == "published"
    assert place < 90, "it waited for all of them"


async def test_a_spread_post_leaves_at_the_instant_it_was_planned_for(sender: Sender) -> None:
    bot = (await sender.with_bots(1))[0]
    [post_id] = await sender.schedule(bot, spread_seconds=3)
    planned_at = (await sender.post(post_id)).planned_at
    [sent] = await sender.run(4)
    assert sent.first_byte_at is not None
    assert timedelta() <= sent.first_byte_at - planned_at < timedelta(seconds=1)
    assert sent.planned_at == planned_at


async def test_after_an_outage_each_policy_decides_and_no_bot_bursts(sender: Sender) -> None:
    bot = (await sender.with_bots(1, token_hours=24))[0]
    persona = "UPDATE personas SET definition = jsonb_set(definition, '{windows}', CAST(:windows AS jsonb))"
    [skipped] = await sender.schedule(bot, due_in_seconds=60, misfire="skip")
    [too_late] = await sender.schedule(bot, due_in_seconds=60)
    allowed = [
        (await sender.schedule(bot, due_in_seconds=60 + n, misfire_within_seconds=4 * 3600))[0] for n in range(3)
    ]
    [moved] = await sender.schedule(bot, due_in_seconds=60, misfire="next_window")
    [fresh] = await sender.schedule(bot, due_in_seconds=3 * 3600 + 1)
    await sender.let_pass(timedelta(hours=3))
    now = await _now(sender)
    opens = (now + timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
    window = f'[{{"opens": "{opens:%H:%M:%S}", "closes": "{opens:%H:59:00}"}}]'
    await sender.sql(persona, windows=window)
    await delivery.sweep(sender.at)

    # In life the clerk's sealer leads all the while.
    async with sender.at.transaction() as sealer:
        assert await audit.lead(sealer)
        await sender.run(2)

    assert {one: (await sender.post(one)).status for one in (skipped, too_late, fresh, moved)} == {
        skipped: "expired",
        too_late: "expired",
        fresh: "published",
        moved: "scheduled",
    }
    rows = [await sender.post(one) for one in allowed]
    assert [row.status for row in rows] == ["published", "scheduled", "scheduled"]
    turns = [rows[0].published_at, *(await _turns(sender, allowed[1:]))]
    gap = timedelta(seconds=Posting().catch_up_gap_seconds)
    assert all(later - earlier >= gap - timedelta(seconds=1) for earlier, later in pairwise(turns) if earlier)
    assert (await sender.post(moved)).planned_at == opens
    assert str((await sender.post(moved)).reason).endswith("late: moved to the bot's next window")

    await sender.let_pass(timedelta(minutes=1))
    await sender.run(1)
    assert [(await sender.post(one)).status for one in allowed] == ["published", "published", "scheduled"]


async def _now(sender: Sender) -> datetime:
    async with sender.at.transaction() as session:
        return await base.now(session)


async def _turns(sender: Sender, post_ids: list[UUID]) -> list[datetime]:
    async with sender.at.transaction() as session:
        found = await session.execute(
            text("SELECT turn_at FROM posts WHERE id = ANY(:ids) ORDER BY turn_at"), {"ids": post_ids}
        )
        return [row.turn_at for row in found]
