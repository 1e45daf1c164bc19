"""Epochs on a real Postgres: what is due is in doubt until a person takes over, and no refresh token may be sent."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from blocks.postgres.engine import Server
from tasks.operations.reconciliation import doubt_of
from tasks.store import attempts, base, looks, restores, senders, stops
from tasks.store.restores import EpochRow, Priced
from tests.makers import marked, stored_bots, stored_posts
from tests.postgres_process import PostgresProcess
from tests.store.test_posts import a_sender, claim

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
async def admins(postgres: PostgresProcess, database: Server) -> AsyncIterator[Sessions]:
    """Transactions of the database's admin, who alone may begin and end an epoch."""
    engine = create_async_engine(postgres.url(database.database))
    yield async_sessionmaker(engine, expire_on_commit=False)
    await engine.dispose()


async def begun(session: AsyncSession) -> EpochRow:
    stop = await stops.add(session, scope="fleet", reason="restored", created_by="tests")
    other = await senders.add(
        session, host="elsewhere", boot_id="", pid_namespace=0, pid=0, start_ticks=0, flow_run_id=None
    )
    await restores.add(
        session,
        kind="restored",
        backup_at=await base.now(session) - timedelta(hours=1),
        origin_host="there",
        origin_home="/home",
        tokens_unused=False,
        stop_id=stop,
        sender_id=other,
        begun_by="tests",
    )
    found = await restores.open_one(session)
    assert found is not None
    return found


async def doubt(session: AsyncSession) -> None:
    await restores.doubt_earlier(session, "perhaps")
    due = await restores.due(session, timedelta())
    await restores.doubt(session, [Priced(post.id, "post", Decimal("0.015")) for post in due], "perhaps")


@pytest.mark.promise("P2")
async def test_whatever_is_due_is_in_doubt_since_the_backup_until_the_other_stack_is_over(
    sessions: Sessions, admins: Sessions
) -> None:
    async with sessions.begin() as session:
        [bot] = await stored_bots(session)
        sending, claimed, due, due_too = await stored_posts(session, bot, 4, due_in_seconds=-10)
        [later] = await stored_posts(session, bot, due_in_seconds=3600)
        own = await a_sender(session)
    async with sessions.begin() as session:
        held = await claim(session, own, limit=2)
        await marked(session, own, held[:1])
    async with admins.begin() as session:
        epoch = await begun(session)
        await doubt(session)
        await doubt(session)
    async with sessions.begin() as session:
        rows = await session.execute(text("SELECT status, array_agg(id ORDER BY id) AS ids FROM posts GROUP BY status"))
        assert {row.status: row.ids for row in rows} == {
            "unknown": sorted([sending, claimed, due, due_too]),
            "scheduled": [later],
        }
        found = {one.post_id: one for one in await looks.take(session, timedelta(seconds=60), 100)}
    assert len(found) == 4
    assert {one.first_marked_at for one in found.values() if one.post_id != held[0].id} == {epoch.backup_at}
    assert {(one.over_at, one.token_expires_at) for one in found.values()} == {(None, None)}
    async with admins.begin() as session:
        await senders.bury(session, [epoch.sender_id])
        await attempts.look_sooner(session, [epoch.sender_id])
    async with sessions.begin() as session:
        again = await looks.take(session, timedelta(seconds=60), 100)
    assert {one.post_id for one in again} == set(found)
    assert all(doubt_of(one).over_at is not None for one in again)


@pytest.mark.promise("C3")
async def test_no_token_may_be_sent_while_an_epoch_is_open_or_a_backup_is_made(
    sessions: Sessions, admins: Sessions
) -> None:
    async def may_refresh() -> bool:
        async with sessions.begin() as session:
            return bool((await session.execute(text("SELECT may_refresh()"))).scalar_one())

    assert await may_refresh()
    async with admins.begin() as backup:
        assert await restores.hold_refreshes(backup)
        assert not await may_refresh()
        async with admins.begin() as another:
            assert not await restores.hold_refreshes(another)
        await backup.execute(text("SELECT pg_advisory_unlock_all()"))
    assert await may_refresh()
    async with admins.begin() as session:
        await begun(session)
    assert not await may_refresh()
    async with admins.begin() as session:
        await restores.end(session, "a person")
    assert await may_refresh()


async def test_no_process_of_the_stack_begins_or_ends_an_epoch_and_one_is_open_at_a_time(
    sessions: Sessions, admins: Sessions
) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with sessions.begin() as session:
            await begun(session)
    async with admins.begin() as session:
        await begun(session)
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with sessions.begin() as session:
            await restores.end(session, "nobody")
    with pytest.raises(IntegrityError):
        async with admins.begin() as session:
            await begun(session)
