"""Snapshots and rollups on a real Postgres: whatever arrives twice, late or in another order makes the same tables."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from blocks.postgres.engine import Server
from tasks.store import metrics, rollups
from tasks.store.metrics import PRIVATE, PUBLIC, AccountSnapshot, PostSnapshot
from tests.postgres_process import PostgresProcess

Sessions = async_sessionmaker[AsyncSession]
HOUR = timedelta(hours=1)
START = datetime(2026, 5, 30, 20, 0, tzinfo=UTC)
TABLES = ("post_metrics", "account_metrics", "post_metrics_daily", "bot_metrics_hourly", "bot_metrics_daily")


def a_snapshot(post_id: UUID, bot_id: UUID, hours: float, views: int, **given: object) -> PostSnapshot:
    bucket_at = START + hours * HOUR
    counts = {name: views // (place + 1) for place, name in enumerate(PUBLIC)}
    return PostSnapshot(
        post_id, bot_id, bucket_at, **{"observed_at": bucket_at + timedelta(minutes=1), **counts, **given}
    )  # type: ignore[arg-type]


def chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # it plays arrivals, and must play them the same way again


def a_history(random: Random) -> list[PostSnapshot]:
    """Posts of three bots over three days and a turn of the month, with gaps, and private counts only now and then."""
    found = []
    for bot_id in (uuid4() for _ in range(3)):
        for post_id in (uuid4() for _ in range(4)):
            views = 0
            for quarter in sorted(random.sample(range(4 * 72), 40)):
                views += random.randrange(50)
                own = {name: views // 7 for name in PRIVATE} if random.random() < 0.7 else {}
                found.append(a_snapshot(post_id, bot_id, quarter / 4, views, **own))
    return found


async def months(sessions: Sessions, first: date = date(2026, 5, 1), last: date = date(2026, 7, 1)) -> None:
    async with sessions.begin() as session:
        await metrics.make_months(session, first, last)


async def add(sessions: Sessions, snapshots: Sequence[PostSnapshot]) -> int:
    async with sessions.begin() as session:
        return await metrics.add_posts(session, snapshots)


async def roll_up(sessions: Sessions, limit: int = 1000) -> int:
    """As the operation does it: until nothing is noted any more."""
    hours = 0
    while True:
        async with sessions.begin() as session:
            await rollups.lock(session)
            taken = await rollups.take_changes(session, limit)
            if not taken:
                return hours
            wanted = await rollups.touched(session, taken)
            await rollups.write(session, wanted)
            hours += len(wanted.bot_ids)


async def checksums(sessions: Sessions) -> dict[str, str]:
    """All rows of all tables, whatever order they lie in."""
    whole = "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, ' ' ORDER BY t::text)), '') FROM {} AS t"
    async with sessions.begin() as session:
        return {table: (await session.execute(text(whole.format(table)))).scalar_one() for table in TABLES}


async def empty(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        for table in (*TABLES, "metric_changes"):
            await session.execute(text(f"DELETE FROM {table}"))  # noqa: S608


def gains(history: Sequence[PostSnapshot]) -> dict[tuple[UUID, datetime], dict[str, int]]:
    """What the rollups have to say, reckoned plainly."""
    found: dict[tuple[UUID, datetime], dict[str, int]] = {}
    for post_id in {one.post_id for one in history}:
        last = dict.fromkeys((*PUBLIC, *PRIVATE), 0)
        for one in sorted((one for one in history if one.post_id == post_id), key=lambda one: one.bucket_at):
            hour = found.setdefault(
                (one.bot_id, one.bucket_at.replace(minute=0)), {"snapshots": 0, **dict.fromkeys((*PUBLIC, *PRIVATE), 0)}
            )
            hour["snapshots"] += 1
            for name in (*PUBLIC, *PRIVATE):
                if (count := getattr(one, name)) is not None:
                    hour[name] += count - last[name]
                    last[name] = count
    return found


async def hourly(sessions: Sessions) -> dict[tuple[UUID, datetime], dict[str, int]]:
    names = ("snapshots", *PUBLIC, *PRIVATE)
    async with sessions.begin() as session:
        rows = await session.execute(text(f"SELECT bot_id, hour_at, {', '.join(names)} FROM bot_metrics_hourly"))  # noqa: S608
        return {(row.bot_id, row.hour_at): {name: getattr(row, name) for name in names} for row in rows}


@pytest.mark.promise("D1")
@pytest.mark.parametrize("seed", range(2))
async def test_any_order_with_repeats_and_lateness_makes_the_same_tables(sessions: Sessions, seed: int) -> None:
    await months(sessions)
    random = chance(seed)
    history = a_history(random)
    await add(sessions, history)
    await roll_up(sessions)
    straight = await checksums(sessions)
    assert await hourly(sessions) == gains(history)

    await empty(sessions)
    # Older answers of the same instants come before and after those that stand, and everything may come twice.
    older = [
        replace(one, observed_at=one.observed_at - timedelta(seconds=30), impressions=1)
        for one in random.sample(history, 100)
    ]
    arriving = [*history, *older, *random.sample(history, 100)]
    random.shuffle(arriving)
    while arriving:
        part, arriving = arriving[:37], arriving[37:]
        await add(sessions, part)
        if random.random() < 0.4:
            await roll_up(sessions, limit=random.choice((1, 3, 1000)))
    await roll_up(sessions)
    assert await checksums(sessions) == straight


@pytest.mark.promise("D1")
async def test_what_is_there_already_or_older_changes_nothing_and_is_not_rolled_up_again(sessions: Sessions) -> None:
    await months(sessions)
    one = a_snapshot(uuid4(), uuid4(), 1, 100)
    assert await add(sessions, [one, one]) == 1
    assert await roll_up(sessions) == 1
    assert await add(sessions, [one]) == 0
    assert await add(sessions, [replace(one, observed_at=one.observed_at - timedelta(seconds=1), likes=7)]) == 0
    assert await roll_up(sessions) == 0
    assert await add(sessions, [replace(one, observed_at=one.observed_at + timedelta(seconds=1), likes=70)]) == 1
    await roll_up(sessions)
    assert [hour["likes"] for hour in (await hourly(sessions)).values()] == [70]


async def test_a_rebuild_says_what_was_said_step_by_step(sessions: Sessions) -> None:
    await months(sessions)
    history = a_history(chance(11))
    for part in range(0, len(history), 60):
        await add(sessions, history[part : part + 60])
    await roll_up(sessions, limit=5)
    before = await checksums(sessions)
    async with sessions.begin() as session:
        await session.execute(text("UPDATE bot_metrics_hourly SET likes = likes + 1"))
        await session.execute(text("DELETE FROM bot_metrics_daily"))
        await session.execute(text("DELETE FROM post_metrics_daily"))
        await rollups.mark(session, START - HOUR, START + timedelta(days=10))
    assert await checksums(sessions) != before
    await roll_up(sessions)
    assert await checksums(sessions) == before


async def test_a_month_of_snapshots_may_be_dropped_and_the_next_gains_are_still_right(sessions: Sessions) -> None:
    await months(sessions)
    history = a_history(chance(5))
    june = datetime(2026, 6, 1, tzinfo=UTC)
    await add(sessions, [one for one in history if one.bucket_at < june])
    await roll_up(sessions)
    async with sessions.begin() as session:
        assert await metrics.drop_months(session, "post_metrics", date(2026, 6, 1)) == ["post_metrics_2026_05"]
    await add(sessions, [one for one in history if one.bucket_at >= june])
    await roll_up(sessions)
    truth = gains(history)
    assert await hourly(sessions) == truth
    async with sessions.begin() as session:
        await rollups.mark(session, june, june + timedelta(days=30))
    await roll_up(sessions)
    assert await hourly(sessions) == truth


async def test_a_day_of_a_bot_is_the_sum_of_its_hours_and_its_followers_at_the_end(sessions: Sessions) -> None:
    await months(sessions)
    bot_id, post_id = uuid4(), uuid4()
    await add(sessions, [a_snapshot(post_id, bot_id, hours, 60 * hours) for hours in range(1, 8)])
    async with sessions.begin() as session:
        await metrics.add_accounts(
            session,
            [
                AccountSnapshot(bot_id, START + hours * HOUR, START + hours * HOUR, followers=100 + hours)
                for hours in range(1, 30)
            ],
        )
    await roll_up(sessions)
    async with sessions.begin() as session:
        days = await rollups.of_bot(session, bot_id, "day", START - HOUR * 20, START + HOUR * 100)
        hours = await rollups.of_bot(session, bot_id, "hour", START, START + HOUR * 100)
    assert [(day.at, day.snapshots, day.impressions, day.followers) for day in days] == [
        (START.replace(hour=0), 3, 180, 103),
        (START.replace(hour=0) + timedelta(days=1), 4, 240, 127),
        (START.replace(hour=0) + timedelta(days=2), 0, 0, 129),
    ]
    assert [hour.followers for hour in hours] == list(range(101, 130))
    assert sum(hour.impressions for hour in hours) == 420


async def test_what_is_erased_goes_from_the_rollups_too(sessions: Sessions) -> None:
    await months(sessions)
    history = a_history(chance(2))
    gone = history[0].post_id
    await add(sessions, [one for one in history if one.post_id != gone])
    await roll_up(sessions)
    without = await checksums(sessions)
    await add(sessions, [one for one in history if one.post_id == gone])
    await roll_up(sessions)
    assert await checksums(sessions) != without
    async with sessions.begin() as session:
        assert await metrics.erase(session, [gone]) == 40
    await roll_up(sessions)
    assert await checksums(sessions) == without


@pytest.fixture
def as_app(postgres: PostgresProcess, database: Server) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(postgres.conninfo(database.database, "vivesphere_app"), autocommit=True) as connection:
        yield connection


def test_months_are_made_once_ahead_and_only_by_the_function(as_app: psycopg.Connection[tuple[object, ...]]) -> None:
    months = "SELECT count(*) FROM pg_class WHERE relnamespace = 'metric_months'::regnamespace AND relkind = 'r'"

    def count() -> object:
        return as_app.execute(months).fetchone()

    before = count()
    assert as_app.execute("SELECT make_metric_months('2031-01-01', '2031-03-01')").fetchone() == (24,)
    assert as_app.execute("SELECT make_metric_months('2031-01-15', '2031-03-31')").fetchone() == (0,)
    as_app.execute("SELECT drop_metric_months('post_metrics', '2031-03-01')")
    assert before != count()
    for statement in (
        "CREATE TABLE metric_months.more (id int)",
        "DROP TABLE metric_months.post_metrics_2031_03",
    ):
        with pytest.raises(InsufficientPrivilege):
            as_app.execute(statement)
    assert as_app.execute("SELECT drop_metric_months('posts', '2031-03-01')").fetchone() == ([],)
