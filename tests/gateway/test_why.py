"""Why a post went out, or did not: the story by the API, over rows that the store's own statements wrote."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.domain.posts import NextStep, Outcome
from tasks.store import attempts, base, senders
from tasks.store.attempts import Settled
from tests.gateway.conftest import Front
from tests.makers import stored_bots
from tests.store.test_posts import claim, mark

Sessions = async_sessionmaker[AsyncSession]
RUN = UUID(int=7)


async def a_post(front: Front, sessions: Sessions, due_in: timedelta = timedelta(), **bot: Any) -> str:
    """The id of a post from a spreadsheet."""
    async with sessions.begin() as session:
        await stored_bots(session, 1, **bot)
        due_at = await base.now(session) + due_in
    draft = {"bot": "bot_0", "text": "Sunny", "due_at": due_at.isoformat(), "external_id": "row-12"}
    answer = await front.call(
        "POST", "/posts", json=[{**draft, "origin": {"file": "week.csv", "line": 12}}], params={"source": "csv"}
    )
    return str(answer.json()[0]["post_id"])


async def sent(sessions: Sessions, give_up_seconds: float = 35) -> tuple[UUID, UUID, UUID]:
    """Sender, post and attempt of what was due and is on its way."""
    async with sessions.begin() as session:
        sender = await senders.add(
            session, host="node-1", boot_id="b", pid_namespace=1, pid=42, start_ticks=1, flow_run_id=RUN
        )
        claimed = await claim(session, sender)
    async with sessions.begin() as session:
        [(post_id, attempt_id)] = (await mark(session, sender, claimed, give_up_seconds)).items()
    return sender, post_id, attempt_id


async def story(front: Front, post_id: str) -> tuple[Sequence[str], Sequence[str]]:
    """What is told, and why it stands where it does."""
    answer = await front.call("GET", f"/posts/{post_id}/why")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [line["at"] for line in found["lines"]] == sorted(line["at"] for line in found["lines"])
    return [line["said"] for line in found["lines"]], found["now"]


def has(lines: Sequence[str], *beginnings: str) -> None:
    """Every beginning is that of a line, in this order."""
    rest = iter(lines)
    for beginning in beginnings:
        assert any(line.startswith(beginning) for line in rest), f"no {beginning!r} in {list(lines)}"


@pytest.mark.promise("P7")
async def test_a_post_that_went_out_tells_who_wrote_it_and_every_step(front: Front, sessions: Sessions) -> None:
    post_id = await a_post(front, sessions)
    _, _, attempt_id = await sent(sessions)
    async with sessions.begin() as session:
        now = await base.now(session)
        outcome = Outcome("accepted", first_byte_at=now, x_post_id="77", http_status=201)
        await attempts.settle(session, [Settled(attempt_id, UUID(post_id), outcome, NextStep("published"))])
    lines, why = await story(front, post_id)
    has(
        lines,
        "written by admin/cli, came by csv, week.csv line 12, called row-12 there",
        "due ",
        "the gate let revision 1 pass (policy ",
        "posts.schedule by admin/cli (key) [audit row ",
        f"attempt 1 marked by run {RUN} on node-1 (process 42), revision 1, claim 1: may start until ",
        "attempt 1: the first byte left, ",
        "attempt 1: X answered 201: accepted as 77",
        "published as 77",
    )
    assert why == ["It went out because it was due, the gate let it pass and X accepted it as 77."]


@pytest.mark.promise("P7")
async def test_a_post_whose_sender_was_killed_tells_that_it_may_be_out(front: Front, sessions: Sessions) -> None:
    post_id = await a_post(front, sessions)
    sender, _, _ = await sent(sessions, give_up_seconds=0)
    async with sessions.begin() as session:
        await senders.bury(session, [sender])
        assert [str(one) for one in await attempts.sweep(session)] == [post_id]
    lines, why = await story(front, post_id)
    has(
        lines,
        "attempt 1 marked by run",
        "attempt 1: its sender was proven dead",
        "attempt 1: no outcome was written down in time: the sweeper called it unknown; it may have gone out",
        "unknown (the sender ended before it wrote down an answer)",
    )
    assert why == ["It may be out or not. Nothing sends it again before the bot's timeline was read."]


async def test_a_post_that_waits_says_what_for(front: Front, sessions: Sessions) -> None:
    post_id = await a_post(front, sessions, due_in=-timedelta(minutes=2), state="paused", labels=["wien"])
    async with sessions.begin() as session:
        await session.execute(
            text("INSERT INTO stops (scope, label, reason, created_by) VALUES ('label', 'wien', 'flood', 'ann')")
        )
        await session.execute(
            text("INSERT INTO breakers (bot_id, cause, evidence) SELECT id, 'suspended', 'X says so' FROM bots")
        )
        await session.execute(
            text("INSERT INTO stops (scope, label, reason, created_by) VALUES ('label', 'x', 'y', 'z')")
        )
    _, why = await story(front, post_id)
    assert why[:3] == [
        "It does not go out: @bot_0 is paused.",
        "It does not go out: stop for the label by ann: flood.",
        "It does not go out: X stands against it (suspended): X says so.",
    ]
    assert why[3].startswith("It is late by 12")
    assert why[4] == "No run of publish-due-posts is alive: nobody sends."


async def test_a_cancelled_post_says_by_whom_and_one_not_due_its_instant(front: Front, sessions: Sessions) -> None:
    post_id = await a_post(front, sessions, due_in=timedelta(days=1))
    _, why = await story(front, post_id)
    assert why[0].startswith("It waits for its instant, ")
    await front.call("POST", f"/posts/{post_id}/cancel")
    lines, why = await story(front, post_id)
    has(
        lines,
        "cancelled (cancelled by admin/cli)",
        "posts.cancel by admin/cli (key): status scheduled -> cancelled, revision 1 -> 2 [audit row ",
    )
    assert why == ["It did not go out: a person cancelled it."]


@pytest.mark.promise("A2")
async def test_a_story_is_told_to_who_may_read_the_bots_posts_alone(front: Front, sessions: Sessions) -> None:
    post_id = await a_post(front, sessions, labels=["wien"])
    for label, status in (("wien", 200), ("graz", 404)):
        async with sessions.begin() as session:
            await session.execute(text("UPDATE role_bindings SET role = 'viewer', label = :label"), {"label": label})
        assert (await front.call("GET", f"/posts/{post_id}/why")).status_code == status
    assert (await front.call("GET", f"/posts/{UUID(int=1)}/why")).status_code == 404
