"""A database that breaks at the mark and at the outcome: nothing leaves without a mark that is committed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from tests.delivery.conftest import Sender
from tests.waiting import until

pytestmark = [pytest.mark.promise("P1"), pytest.mark.promise("P2")]


@asynccontextmanager
async def full_disk(sender: Sender, statement: str) -> AsyncIterator[None]:
    """Postgres answers as it does where it cannot extend the table of attempts any more."""
    async with await psycopg.AsyncConnection.connect(sender.owner, autocommit=True) as owner:
        await owner.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        await owner.execute(
            f"CREATE TRIGGER full_disk BEFORE {statement} ON publish_attempts EXECUTE FUNCTION no_room()"  # type: ignore[arg-type]
        )
        try:
            yield
        finally:
            await owner.execute("DROP TRIGGER full_disk ON publish_attempts")


async def test_where_the_disk_takes_no_mark_nothing_leaves_and_later_each_goes_out_once(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    [bot] = await sender.with_bots(1)
    posts = await sender.schedule(bot, 3)
    run = asyncio.create_task(sender.run(30))
    async with full_disk(sender, "INSERT"):
        await until(lambda: caplog.text.count("posts were not marked, and so not sent") >= 3)
        assert sender.ledger() == []
    await until(lambda: all_published(sender, posts))
    assert len(sender.ledger()) == 3
    await ended(run)


async def test_where_the_disk_takes_no_outcome_it_is_written_once_there_is_room(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    [bot] = await sender.with_bots(1)
    posts = await sender.schedule(bot, 3)
    async with full_disk(sender, "UPDATE"):
        run = asyncio.create_task(sender.run(30))
        await sender.accepted(3)
        await until(lambda: "wait for the database" in caplog.text)
        assert not await all_published(sender, posts)
    await until(lambda: all_published(sender, posts))
    assert len(sender.ledger()) == 3
    await ended(run)


async def test_a_connection_killed_in_the_middle_of_a_mark_sends_nothing_and_the_post_goes_out_once(
    sender: Sender,
) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot, due_in_seconds=2.5)
    run = asyncio.create_task(sender.run(30))
    async with await psycopg.AsyncConnection.connect(sender.owner) as holder:
        await until(lambda: _claimed(sender, post))
        await holder.execute("SELECT 1 FROM bots FOR UPDATE")  # the mark waits for it, its work half done
        async with await psycopg.AsyncConnection.connect(sender.owner, autocommit=True) as killer:
            await until(lambda: _killed_a_mark(killer))
        assert sender.ledger() == []
    await until(lambda: all_published(sender, [post]))
    assert len(sender.ledger()) == 1
    await ended(run)


async def _claimed(sender: Sender, post: UUID) -> bool:
    return (await sender.post(post)).status == "claimed"


async def _killed_a_mark(killer: "psycopg.AsyncConnection[tuple[int]]") -> bool:
    """By the function with which a stop ends those that hold it up: it hits the one that waits."""
    [[ended_marks]] = await (await killer.execute("SELECT end_marks()")).fetchall()
    return ended_marks > 0


async def all_published(sender: Sender, posts: list[UUID]) -> bool:
    """Whether each of them is out."""
    async with sender.at.transaction() as session:
        found = await session.execute(
            text("SELECT count(*) FROM posts WHERE status = 'published' AND id = ANY(:ids)"), {"ids": posts}
        )
        return bool(found.scalar_one() == len(posts))


async def ended(run: "asyncio.Task[object]") -> None:
    """The run is no longer needed."""
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
