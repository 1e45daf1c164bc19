"""Lists of a hundred thousand rows, read to their end in pages, while others come in."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.gateway.conftest import Front
from tests.makers import stored_bots, stored_posts

Sessions = async_sessionmaker[AsyncSession]
ROWS = 100_000
# Many rows bear the same instant, as they do when a spreadsheet comes in.
OF_ONE_INSTANT = 700


async def many_of_one(session: AsyncSession, table: str, key: str, changed: dict[str, str]) -> None:
    """The one row of a table, as often as it takes, with `changed` columns; `n` is the number of the copy."""
    found = await session.execute(
        text("SELECT column_name FROM information_schema.columns WHERE table_name = :table AND is_generated = 'NEVER'"),
        {"table": table},
    )
    columns = [row.column_name for row in found if row.column_name != key]
    wanted = ", ".join(changed.get(name, f"one.{name}") for name in columns)
    await session.execute(
        text(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {wanted} "  # noqa: S608
            f"FROM (SELECT * FROM {table} LIMIT 1) AS one, generate_series(1, {ROWS - 1}) AS n"
        )
    )


async def pages(front: Front, path: str, key: str, **query: Any) -> AsyncIterator[list[dict[str, Any]]]:
    """A list with its cursor in the body, page by page."""
    cursor: str | None = ""
    while cursor is not None:
        answer = await front.call("GET", path, params={**query, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        yield answer.json()[key]
        cursor = answer.json()["next"]


async def test_posts_are_read_to_the_end_while_more_come_in(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        [bot] = await stored_bots(session)
        await stored_posts(session, bot)
        instant = f"one.due_at - (n / {OF_ONE_INSTANT}) * interval '1 second'"
        await many_of_one(session, "posts", "id", {"due_at": instant, "planned_at": instant})
        there = {str(row.id) for row in await session.execute(text("SELECT id FROM posts"))}
    assert len(there) == ROWS
    seen: list[str] = []
    turn = 0
    async for page in pages(front, "/posts", "posts", limit=200):
        seen += [post["id"] for post in page]
        if (turn := turn + 1) % 100 == 0:
            async with sessions.begin() as session:
                await stored_posts(session, bot, due_in_seconds=60 - turn)
    assert len(set(seen)) == len(seen)
    assert there <= set(seen)


async def test_bots_are_read_to_the_end_while_more_come_in(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_bots(session)
        await many_of_one(session, "bots", "id", {"handle": "'c_' || n", "x_user_id": "'c_' || n"})
    seen: list[str] = []
    path = "/bots?limit=1000"
    while path:
        answer = await front.call("GET", path)
        seen += [bot["handle"] for bot in answer.json()]
        path = answer.links["next"]["url"].removeprefix("/api/v1") if "next" in answer.links else ""
        if len(seen) == 50_000:
            # One before the place where we are, and one behind it.
            for handle in ("a_early", "z_late"):
                await front.call("POST", "/bots/create", json={"bot_name": handle})
    assert len(set(seen)) == len(seen) == ROWS + 1
    assert seen[-1] == "z_late"
    assert "a_early" not in seen


async def test_the_log_is_read_to_its_end_while_more_comes_in(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await session.execute(
            text(
                "INSERT INTO activity_log (at, category, actor, action, subject, details)"
                " SELECT app_now() - (n / :same) * interval '1 second', 'activity', 'planted', 'tests', n::text, '{}'"
                " FROM generate_series(1, CAST(:rows AS integer)) AS n"
            ),
            {"rows": ROWS, "same": OF_ONE_INSTANT},
        )
    seen: list[str] = []
    async for page in pages(front, "/logs", "lines", actor="planted", limit=500):
        seen += [line["subject"] for line in page]
        if len(seen) == 50_000:
            line = {"log_type": "debug", "log_data": {}}
            await front.call("POST", "/logs/submit", json=line)
    assert sorted(map(int, seen)) == list(range(1, ROWS + 1))


@pytest.mark.parametrize("path", ["/posts", "/logs", "/bots", "/users"])
@pytest.mark.parametrize("cursor", ["x", "bnVsbA", "WyIyMDI2Il0", "WyJcdTAwMDAiXQ"])
async def test_what_is_no_cursor_is_refused(front: Front, path: str, cursor: str) -> None:
    answer = await front.call("GET", path, params={"cursor": cursor})
    if path in ("/bots", "/users") and cursor == "WyIyMDI2Il0":
        # A name like any other.
        assert answer.status_code == 200
        return
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:vivesphere:problem:invalid-request")
