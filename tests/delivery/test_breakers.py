"""What X says of an account or an app silences it, in the transaction of the outcome; X is asked before it speaks."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text

from tasks.domain.posts import Outcome
from tasks.domain.roles import system
from tasks.operations import breakers, stops
from tasks.operations.breakers import NoSuchBreakerError
from tests.delivery.conftest import Sender
from tests.makers import stored_app
from tests.waiting import until

OPS = system("ops")


@pytest.mark.parametrize(
    ("problem", "cause", "over"),
    [
        ("credits-depleted", "credits", "app city"),
        ("usage-capped", "usage_capped", "app city"),
    ],
)
async def test_the_first_such_answer_silences_and_the_post_waits_behind_it(
    sender: Sender, problem: str, cause: str, over: str
) -> None:
    async with sender.at.transaction() as session:
        app = await stored_app(session, name="city")
    first, second = await sender.with_bots(2, x_app_id=app)
    [met] = await sender.schedule(first)
    sender.x.fault("problem", problem=problem, endpoint="POST /2/tweets", count=1)
    await sender.run(0.5)
    [other] = await sender.schedule(second)
    await sender.run(0.5)
    [found] = await breakers.standing(sender.at)
    assert (found.cause, found.over) == (cause, over)
    assert found.ends_at is not None
    assert (await sender.post(met)).status == "scheduled"
    assert (await sender.post(other)).status == "scheduled"
    await breakers.close(sender.at, found.id, "put right", OPS)
    await sender.sql("UPDATE posts SET next_at = app_now() WHERE status = 'scheduled'")
    run = asyncio.create_task(sender.run(5))
    await sender.accepted(2)
    await run
    assert (await sender.post(met)).status == "published"
    with pytest.raises(NoSuchBreakerError):
        await breakers.close(sender.at, found.id, "put right", OPS)


async def test_a_breaker_that_ended_lets_no_post_through_before_x_has_answered_for_the_account(sender: Sender) -> None:
    async with sender.at.transaction() as session:
        app = await stored_app(session, name="city")
    [bot] = await sender.with_bots(1, x_app_id=app)
    [post] = await sender.schedule(bot)
    sender.x.fault("problem", problem="credits-depleted", count=3)
    await sender.run(0.4)
    # The month has turned, and X has not noticed yet: it says no to two more harmless calls.
    await sender.sql("UPDATE breakers SET ends_at = app_now()")
    await sender.sql("UPDATE posts SET next_at = app_now()")
    run = asyncio.create_task(sender.run(6))
    await until(lambda: _probe_said(sender, "credits"))
    await stops.say_silence(sender.at)
    assert "asked again: credits" in ((await sender.post(post)).reason or "")
    await sender.accepted()
    await run
    [create] = sender.ledger()
    async with sender.at.transaction() as session:
        [row] = await session.execute(text("SELECT closed_at, closed_by, probes, probed_at FROM breakers"))
        actions = (await session.execute(text("SELECT action FROM audit_log ORDER BY id"))).scalars()
        assert [action for action in actions if action.startswith("breakers")] == ["breakers.open", "breakers.closed"]
    assert (row.closed_by, row.probes) == ("governor", 3)
    assert datetime.fromisoformat(create["first_byte_at"]) > row.closed_at - timedelta(seconds=0.5)
    assert (await sender.post(post)).status == "published"


async def _probe_said(sender: Sender, word: str) -> bool:
    return any(word in (row.probe_said or "") for row in await breakers.standing(sender.at))


async def test_of_many_runs_one_asks_and_what_it_asks_is_booked(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    await sender.sql(
        "INSERT INTO breakers (bot_id, cause, evidence, ends_at) VALUES (:bot, 'policy_refusals', 'five', app_now())",
        bot=bot,
    )
    found = await asyncio.gather(*(breakers.probe(sender.at) for _ in range(4)))
    assert [len(probes) for probes in found if probes] == [1]
    assert await breakers.standing(sender.at) == []
    async with sender.at.transaction() as session:
        [booked] = await session.execute(text("SELECT kind, resources, usd FROM spend_ledger"))
        assert (booked.kind, booked.resources, str(booked.usd)) == ("user_read", 1, "0.01000")


async def test_one_that_is_half_open_opens_anew_where_x_says_no_to_a_post_under_way(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    no = Outcome("refused", http_status=402, problem="credits", silences="credits")
    for _ in range(2):
        async with sender.at.transaction() as session:
            await breakers.heed(session, [(bot, no)])
        [found] = await breakers.standing(sender.at)
        assert not found.half_open
        await sender.sql("UPDATE breakers SET ends_at = app_now()")
        [found] = await breakers.standing(sender.at)
        assert found.half_open


async def test_five_refusals_by_xs_rules_silence_a_bot_and_four_do_not(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    sender.x.fault("problem", problem="reply-gate", endpoint="POST /2/tweets", count=5)
    await sender.schedule(bot, 4)
    await sender.run(0.6)
    assert await breakers.standing(sender.at) == []
    [last, waits] = [*(await sender.schedule(bot)), *(await sender.schedule(bot, due_in_seconds=1))]
    await sender.run(2)
    [found] = await breakers.standing(sender.at)
    assert found.cause == "policy_refusals"
    assert found.evidence.startswith("5 posts refused within 15 minutes")
    assert (await sender.post(last)).status == "refused"
    assert (await sender.post(waits)).status == "scheduled"
    async with sender.at.transaction() as session:
        noted = (await session.execute(text("SELECT action FROM audit_log WHERE action LIKE 'breakers%'"))).scalars()
        assert list(noted) == ["breakers.open"]


@pytest.mark.parametrize("problem", ["user-suspended", "user-suspended-code-64", "account-locked"])
async def test_a_suspension_silences_the_bot_alone_until_a_person(sender: Sender, problem: str) -> None:
    first, second = await sender.with_bots(2)
    [met] = await sender.schedule(first)
    sender.x.fault("problem", problem=problem, endpoint="POST /2/tweets", count=1)
    run = asyncio.create_task(sender.run(3))
    await until(lambda: breakers.standing(sender.at))
    await sender.schedule(first)
    await sender.schedule(second)
    await sender.accepted()
    await run
    [found] = await breakers.standing(sender.at)
    assert (found.cause, found.over, found.ends_at) == ("suspended", "@bot_0", None)
    assert (await sender.post(met)).status == "scheduled"
    assert [entry["username"] for entry in sender.ledger()] == ["bot_1"]
    assert await states(sender) == {"bot_0": "suspended", "bot_1": "active"}


async def states(sender: Sender) -> dict[str, str]:
    async with sender.at.transaction() as session:
        return {row.handle: row.state for row in await session.execute(text("SELECT handle, state FROM bots"))}


async def test_a_suspended_bot_speaks_again_once_a_person_has_x_asked_and_x_says_yes(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    sender.x.account("bot_0", suspended=True)
    await sender.run(0.4)
    [found] = await breakers.standing(sender.at)
    assert await states(sender) == {"bot_0": "suspended"}
    # Nobody asks X before a person says so.
    assert await breakers.probe(sender.at) == []
    await breakers.close(sender.at, found.id, "appealed", OPS)
    assert len(await breakers.probe(sender.at)) == 1
    [again] = await breakers.standing(sender.at)
    assert (again.id, again.half_open, await states(sender)) == (found.id, False, {"bot_0": "suspended"})
    assert "suspended" in again.evidence
    sender.x.account("bot_0", suspended=False)
    await breakers.close(sender.at, found.id, "the appeal was granted", OPS)
    await sender.sql("UPDATE posts SET next_at = app_now()")
    run = asyncio.create_task(sender.run(3))
    await sender.accepted()
    await run
    assert (await sender.post(post)).status == "published"
    assert (await breakers.standing(sender.at), await states(sender)) == ([], {"bot_0": "active"})


async def test_a_timeline_that_x_denies_a_suspended_account_suspends_its_bot(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    sender.x.fault("drop", endpoint="POST /2/tweets", when="after", count=1)
    await sender.run(0.4)
    assert (await sender.post(post)).status == "unknown"
    sender.x.account("bot_0", suspended=True)
    await sender.reconcile(0.1)
    [found] = await breakers.standing(sender.at)
    assert (found.cause, await states(sender)) == ("suspended", {"bot_0": "suspended"})
    assert (await sender.post(post)).status == "unknown"


async def test_a_post_that_x_throttles_waits_as_often_as_it_must_and_goes_out(sender: Sender) -> None:
    sender.with_settings("posting", attempts_max=2)
    often = 4
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    sender.x.fault("problem", problem="too-many-requests-code-88", endpoint="POST /2/tweets", count=often)
    run = asyncio.create_task(sender.run(8))
    await sender.accepted()
    await run
    row = await sender.post(post)
    assert (row.status, row.attempts) == ("published", 1)
    async with sender.at.transaction() as session:
        ended = (await session.execute(text("SELECT ended FROM publish_attempts ORDER BY id"))).scalars()
        assert list(ended) == ["throttled"] * often + ["accepted"]


async def test_where_x_says_too_many_and_not_until_when_a_bot_asks_ever_more_rarely(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    await sender.schedule(bot)
    sender.x.fault("problem", problem="too-many-requests-code-88", endpoint="POST /2/tweets", count=4)
    run = asyncio.create_task(sender.run(60))
    await until(sender.ledger, within_seconds=50)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    async with sender.at.transaction() as session:
        asked_at = (await session.execute(text("SELECT marked_at FROM publish_attempts ORDER BY id"))).scalars().all()
        silence = (await session.execute(text("SELECT remaining FROM rate_limits_told"))).scalars().all()
    gaps = [(after - before).total_seconds() for before, after in pairwise(asked_at)]
    assert len(gaps) == 4
    # Each pause is as long as all before it together.
    assert all(gap >= (before - asked_at[0]).total_seconds() for gap, before in zip(gaps, asked_at, strict=False))
    assert silence == [0]


async def test_the_other_posts_of_a_throttled_bot_wait_with_it_and_other_bots_do_not(sender: Sender) -> None:
    sender.with_settings("posting", retry_seconds=30)
    first, second = await sender.with_bots(2)
    [met] = await sender.schedule(first)
    sender.x.fault("problem", problem="too-many-requests-code-88", endpoint="POST /2/tweets", count=1)
    await sender.run(0.5)
    [waits], [goes] = await sender.schedule(first), await sender.schedule(second)
    await sender.run(0.5)
    assert (await sender.post(goes)).status == "published"
    assert (await sender.post(waits)).reason == "waits: X says that the limit of this bot is reached"
    async with sender.at.transaction() as session:
        left = await session.execute(
            text("SELECT next_at - app_now() AS left FROM posts WHERE status = 'scheduled' AND id = ANY(:ids)"),
            {"ids": [met, waits]},
        )
        assert [row.left > timedelta(seconds=20) for row in left] == [True, True]
