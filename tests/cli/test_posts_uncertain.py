"""`vivesphere posts held` and `resolve`."""

import json
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.cli.conftest import Terminal
from tests.makers import stored_bots, stored_posts

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
async def held(stack: Terminal, sessions: Sessions) -> list[UUID]:
    """Three posts of one bot that wait for their broken thread."""
    async with sessions.begin() as session:
        [bot] = await stored_bots(session)
        ids = await stored_posts(session, bot, 3)
        await session.execute(text("UPDATE posts SET status = 'held', reason = 'thread: part 1 is refused'"))
    return list(ids)


async def test_held_posts_are_listed_and_discarded_from_a_file(
    stack: Terminal, held: list[UUID], tmp_path: Path
) -> None:
    said = await stack("posts", "held")
    assert said.code == 0
    assert "thread: part 1 is refused" in said.out
    file = tmp_path / "held.csv"
    file.write_text(f"id,choice\n{held[0]},discard\n{held[1]},requeue\n", encoding="utf-8")
    said = await stack("posts", "resolve", "--from", file, "--reason", "not wanted any more")
    assert said.code == 1
    assert f"{held[0]}: cancelled discarded by admin/cli: not wanted any more" in said.out
    assert f"posts resume-thread {held[1]}" in said.err


async def test_ids_may_come_by_the_standard_input_and_a_bot_may_stand_for_all_of_its_posts(
    stack: Terminal, held: list[UUID]
) -> None:
    said = await stack(
        *("posts", "resolve", "--from", "-", "--discard", "--reason", "old", "--json"), stdin=f"{held[0]}\n"
    )
    assert [one["result"] for one in json.loads(said.out)] == ["resolved"]
    asked = await stack("posts", "resolve", "--bot", "bot_0", "--discard", "--reason", "old", stdin="n\n")
    assert asked.code != 0
    assert len(json.loads((await stack("posts", "held", "--json")).out)) == 2
    said = await stack("posts", "resolve", "--bot", "bot_0", "--discard", "--reason", "old", "--yes")
    assert said.code == 0
    assert json.loads((await stack("posts", "held", "--json")).out) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--discard", "--bot", "bot_0"), "say --reason"),
        (("--reason", "x", "--discard"), "name posts"),
        (("--reason", "x", "--discard", "--requeue", "--bot", "bot_0"), "say one of"),
        (("--reason", "x", "00000000-0000-7000-8000-000000000000"), "say --published"),
    ],
)
async def test_what_is_missing_is_said(stack: Terminal, options: tuple[str, ...], said: str) -> None:
    found = await stack("posts", "resolve", *options)
    assert found.code == 2
    assert said in found.err
