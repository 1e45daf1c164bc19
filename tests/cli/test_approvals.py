"""What the gate says, and what a person says to it, on the command line."""

import json

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from deployments.cli.approvals import changes
from tests.cli.conftest import Terminal
from tests.makers import stored_bots

Sessions = async_sessionmaker[AsyncSession]
CIVIC = "The polling stations are open, go and vote."


@pytest.fixture
async def with_bot(stack: Terminal, sessions: Sessions) -> Terminal:
    async with sessions.begin() as session:
        await stored_bots(session)
    return stack


async def test_a_check_explains_by_rule_and_ends_as_scheduling_would(with_bot: Terminal) -> None:
    refused = await with_bot("posts", "check", "--bot", "bot_0", "--text", "Hello @somebody")
    said = refused.out.splitlines()
    assert (refused.code, refused.err.split(" (")[0]) == (3, "does not pass")
    assert said == [
        "  unsummoned-mention: it names @somebody, who did not ask for it",
        "    X forbids it: https://help.x.com/en/rules-and-policies/x-automation",
        "    what to do: leave the mention out, or put an account that agreed into mentions_allowed of "
        "config/policies.yaml",
    ]
    assert (await with_bot("posts", "check", "--bot", "bot_0", "--text", CIVIC)).code == 4
    passes = await with_bot("posts", "check", "--bot", "bot_0", "--text", "Rain until noon.")
    assert (passes.code, passes.out.split(" (")[0]) == (0, "passes: no rule objects")
    assert json.loads((await with_bot("posts", "counts", "--json")).out) == {}


async def test_posts_that_wait_are_listed_shown_approved_and_rejected(with_bot: Terminal, sessions: Sessions) -> None:
    for one in (CIVIC, "A new vaccine is here."):
        said = await with_bot("posts", "schedule", "--bot", "bot_0", "--text", one, "--at", "2030-12-01T09:00Z")
        assert said.code == 4
        assert said.out.startswith("waits for an approval ")
    first, second = json.loads((await with_bot("approvals", "list", "--json")).out)
    shown = await with_bot("approvals", "diff", first["post_id"])
    assert "sensitive-topics: civic life: vote" in shown.out
    own = await with_bot("approvals", "approve", first["post_id"])
    assert (own.code, "wrote or changed it" in own.err) == (1, True)
    async with sessions.begin() as session:
        await session.execute(text("UPDATE posts SET created_by = 'wanda'"))
        await session.execute(text("UPDATE approvals SET asked_by = 'wanda'"))
    approved = await with_bot("approvals", "approve", "--rule", "sensitive-topics", "--comment", "read")
    assert (approved.code, approved.out.splitlines()) == (
        0,
        [f"{first['post_id']}: approved", f"{second['post_id']}: approved"],
    )
    gone = await with_bot("approvals", "reject", first["post_id"])
    assert (gone.code, "waits for no approval" in gone.err) == (1, True)
    assert (await with_bot("approvals", "reject")).code == 2


def test_what_is_new_is_marked_word_by_word() -> None:
    assert (
        changes("Rain until noon.", "Snow until noon, then sun.")
        == "[-Rain-]{+Snow+} until [-noon.-]{+noon, then sun.+}"
    )
