"""What X says of an account or an app silences it, in the transaction of the outcome; a person closes it."""

import asyncio

import pytest
from sqlalchemy import text

from tasks.domain.roles import system
from tasks.operations import breakers
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
    with pytest.raises(NoSuchBreakerError):
        await breakers.close(sender.at, found.id, "put right", OPS)
    await sender.sql("UPDATE posts SET next_at = app_now() WHERE status = 'scheduled'")
    await sender.run(0.5)
    assert (await sender.post(met)).status == "published"


async def test_one_that_ended_with_the_month_opens_anew(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    for _ in range(2):
        await sender.schedule(bot)
        sender.x.fault("problem", problem="credits-depleted", endpoint="POST /2/tweets", count=1)
        await sender.run(0.4)
        assert len(await breakers.standing(sender.at)) == 1
        await sender.sql("UPDATE breakers SET ends_at = app_now()")
        await sender.sql("UPDATE posts SET status = 'cancelled', lease_until = NULL")
        assert await breakers.standing(sender.at) == []


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


async def test_a_post_that_x_throttles_waits_as_often_as_it_must_and_goes_out(sender: Sender) -> None:
    often = sender.at.places.settings.posting.attempts_max + 2
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
