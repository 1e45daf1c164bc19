"""`vivesphere content`, and whole days of posts at once."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.domain.personas import Cadence, Persona
from tasks.domain.templates import Template
from tasks.store import personas
from tests.cli.conftest import Terminal
from tests.makers import a_persona, stored_bots

Sessions = async_sessionmaker[AsyncSession]
VIENNA = ZoneInfo("Europe/Vienna")


def a_planner(**given: object) -> Persona:
    """The persona of the stored bots, with something to plan."""
    data = tuple({"object": f"Object {number}"} for number in range(60))
    template = Template(name="object", text="Today: {{ object }}", data=data, distinct_by=("object",))
    return a_persona(cadence=Cadence(slots=("00:05", "12:00"), posts_per_day=2), templates=(template,), **given)


async def with_a_plan(sessions: Sessions, bots: int = 2) -> None:
    async with sessions.begin() as session:
        await stored_bots(session, bots)
        await personas.put(session, [a_planner()])
        await session.execute(text("UPDATE bots SET time_zone = 'Europe/Vienna'"))


async def stands(sessions: Sessions, status: str = "scheduled") -> list[tuple[str, datetime]]:
    async with sessions.begin() as session:
        rows = await session.execute(
            text("SELECT text, due_at FROM posts WHERE status = :status ORDER BY due_at"), {"status": status}
        )
        return [(row.text, row.due_at) for row in rows]


async def test_a_dry_run_shows_the_calendar_and_its_price_and_the_plan_is_the_same(
    stack: Terminal, sessions: Sessions
) -> None:
    await with_a_plan(sessions)
    shown = await stack("content", "plan", "--days", 4, "--dry-run")
    assert (shown.code, shown.err) == (0, "")
    assert "would be planned; nothing was stored" in shown.out
    assert await stands(sessions) == []
    look = json.loads((await stack("content", "plan", "--days", 4, "--dry-run", "--json")).out)
    count = len(look["entries"])
    assert count in (12, 13, 14, 15, 16)
    done = await stack("content", "plan", "--days", 4)
    assert done.code == 0
    assert f"{count} posts planned; cost on X: {look['usd']} USD" in done.out
    assert float(look["usd"]) == round(0.015 * count, 3)
    assert [said for said, _ in await stands(sessions)] == [one["text"] for one in look["entries"]]
    again = await stack("content", "plan", "--days", 4)
    assert (again.code, "nothing to plan" in again.err) == (0, True)
    one = await stack("content", "plan", "nobody_here", "--dry-run")
    assert (one.code, "there is no bot @nobody_here" in one.err) == (1, True)


async def test_what_a_rule_wants_seen_waits_for_a_person(stack: Terminal, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_bots(session, 1)
        await personas.put(session, [a_planner(approve_each=True)])
    done = await stack("content", "plan", "--days", 3)
    assert (done.code, "of them for a person to approve" in done.out, "awaiting approval" in done.out) == (
        0,
        True,
        True,
    )
    assert await stands(sessions) == []
    assert len(await stands(sessions, "awaiting_approval")) in (4, 5, 6)


async def test_a_day_is_blacked_out_and_others_are_shifted(stack: Terminal, sessions: Sessions) -> None:
    await with_a_plan(sessions)
    await stack("content", "plan", "--days", 4)
    before = await stands(sessions)
    day = (datetime.now(UTC).astimezone(VIENNA) + timedelta(days=2)).date()
    that_day = [one for one in before if one[1].astimezone(VIENNA).date() == day]
    look = await stack("posts", "blackout", day, "--reason", "mourning", "--dry-run")
    assert (look.code, f"{len(that_day)} posts would be cancelled" in look.out) == (0, True)
    assert await stands(sessions) == before
    done = await stack("posts", "blackout", day, "--reason", "mourning")
    assert (done.code, f"{len(that_day)} posts cancelled" in done.out) == (0, True)
    assert await stands(sessions, "cancelled") == that_day
    twice = await stack("posts", "blackout", day, "--reason", "mourning")
    assert (twice.code, "blacked out already" in twice.err) == (1, True)
    assert "nothing to plan" in (await stack("content", "plan", "--days", 4)).err
    listed = json.loads((await stack("posts", "blackouts", "--json")).out)
    assert [one["day"] for one in listed] == [day.isoformat()]
    left = await stands(sessions)
    moved = await stack("posts", "shift", "--by", "90m", "--until", "+10d")
    assert (moved.code, f"{len(left)} posts moved" in moved.out) == (0, True)
    assert await stands(sessions) == [(said, due_at + timedelta(minutes=90)) for said, due_at in left]
    lifted = await stack("posts", "lift-blackout", listed[0]["id"])
    assert (lifted.code, "may be planned again" in lifted.out) == (0, True)


async def test_an_evergreen_text_fills_turns_and_comes_by_a_rule(stack: Terminal, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_bots(session, 1)
        await personas.put(session, [a_persona(cadence=Cadence(slots=("12:00",)))])
    added = await stack(
        *("content", "evergreen", "add", "@bot_0", "--name", "pencil", "--cooldown", "3d"),
        *("--text", "Bring a pencil.", "--text", "Pencils are welcome."),
    )
    assert (added.code, "keeps 'pencil'" in added.out) == (0, True)
    ruled = await stack(
        *("content", "evergreen", "add", "bot_0", "--name", "sunday", "--text", "Free entry on Sundays."),
        *("--every", "FREQ=WEEKLY;BYDAY=SU", "--at", "10:00"),
    )
    assert ruled.code == 0
    assert "FREQ=WEEKLY;BYDAY=SU at 10:00" in (await stack("content", "evergreen", "list")).out
    long = await stack("content", "evergreen", "add", "bot_0", "--name", "long", "--text", "word " * 80)
    assert (long.code, "weighted-length" in long.err) == (2, True)
    twice = await stack("content", "evergreen", "add", "bot_0", "--name", "pencil", "--text", "Another.")
    assert (twice.code, "already" in twice.err) == (1, True)
    planned = json.loads((await stack("content", "plan", "--days", 9, "--json")).out)["entries"]
    tips = [one for one in planned if one["template"] == "pencil"]
    assert {one["text"] for one in tips} == {"Bring a pencil.", "Pencils are welcome."}
    assert all(one["result"] == "scheduled" for one in planned)
    assert sum(one["template"] == "sunday" for one in planned) in (1, 2)
    item = json.loads((await stack("content", "evergreen", "list", "--json")).out)[0]["id"]
    assert (await stack("content", "evergreen", "remove", item)).code == 0


async def test_a_post_takes_the_next_free_turn(stack: Terminal, sessions: Sessions) -> None:
    await with_a_plan(sessions, 1)
    turns = json.loads((await stack("content", "turns", "bot_0", "--count", 2, "--json")).out)
    first = await stack("posts", "schedule", "--bot", "bot_0", "--text", "By hand.", "--at", "next-turn")
    assert first.code == 0
    [(_, due_at)] = await stands(sessions)
    assert due_at == datetime.fromisoformat(turns[0])
    assert json.loads((await stack("content", "turns", "bot_0", "--json")).out)[0] == turns[1]
