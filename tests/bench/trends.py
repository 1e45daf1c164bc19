"""Trends: a million observations written by source and instant, against a plain COPY of the same."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from blocks.postgres.engine import Login, Server, open_engine
from tasks.store import metrics, trends
from tasks.store.trends import Name, Reading, Row
from tests.bench.figure import Figure
from tests.migrated_postgres import fresh_database, migrated_postgres

SOURCES, STEPS, ROWS = 20, 1000, 50
OBSERVATIONS = SOURCES * STEPS * ROWS
NAMES_A_DAY = 400
BATCH = 1000
PAIRS = 3
START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=15)


def trends_1m_observations() -> list[Figure]:
    """Twenty lists of fifty names, a thousand times."""
    with migrated_postgres() as postgres, fresh_database(postgres, "trends") as server:
        return [asyncio.run(_ingest(server, postgres.password))]


def _readings() -> list[Reading]:
    """Lists that change by a few names each time; each day has other names than the one before."""
    random = Random(1)  # noqa: S311 - it makes the same lists again
    names = [
        Name(f"trend number {number}", f"trendnumber{number}", f"Trend Number {number}", "topic", "en")
        for number in range(NAMES_A_DAY * (STEPS // 96 + 2))
    ]
    found = []
    for step in range(STEPS):
        at, first = START + step * STEP, step // 96 * NAMES_A_DAY
        for source in range(SOURCES):
            listed = random.sample(range(first, first + NAMES_A_DAY), ROWS)
            rows = [Row(names[number], rank, 10 * number) for rank, number in enumerate(listed, 1)]
            found.append(Reading(source, at, at, rows))
    return found


async def _ingest(server: Server, password: str) -> Figure:
    async def login() -> Login:
        return Login("vivesphere_app", password)

    readings = _readings()
    owner = f"host={server.host} port={server.port} dbname={server.database} user=vivesphere_owner password={password}"
    engine = open_engine(server, login, application="bench", pool_size=2)
    ours: list[float] = []
    bare: list[float] = []
    try:
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        async with sessions.begin() as session:
            await metrics.make_months(session, START.date(), (START + STEPS * STEP).date())
        for _ in range(PAIRS):
            bare.append(await _bare(owner, readings))
            ours.append(await _ours(sessions, readings))
            again = await _again(sessions, readings)
            await _empty(engine, owner)
    finally:
        await engine.dispose()
    ratios = ", ".join(f"{mine / theirs:.2f}" for mine, theirs in zip(ours, bare, strict=True))
    return Figure(
        "trends_1m_observations",
        median(ours),
        median(bare),
        "s",
        "ratio <= 1.5",
        {"the same readings once more, which change nothing": again},
        f"{SOURCES} lists of {ROWS} names at {STEPS:,} instants, {BATCH:,} lists a transaction; {PAIRS} pairs, ratios"
        f" {ratios}. Ours locks each list by source and instant, makes new names, and writes rows under a primary key;"
        " the limit copies the same, names as text, in binary into a table without an index. fsync is off for both.",
    )


async def _ours(sessions: async_sessionmaker[AsyncSession], readings: Sequence[Reading]) -> float:
    began, written = time.perf_counter(), 0
    for part in _parts(readings):
        async with sessions.begin() as session:
            written += await trends.add(session, part)
    seconds = time.perf_counter() - began
    assert written == OBSERVATIONS, written
    return seconds


async def _again(sessions: async_sessionmaker[AsyncSession], readings: Sequence[Reading]) -> float:
    began = time.perf_counter()
    for part in _parts(readings):
        async with sessions.begin() as session:
            assert await trends.add(session, part) == 0
    return time.perf_counter() - began


def _parts(readings: Sequence[Reading]) -> Iterator[Sequence[Reading]]:
    for first in range(0, len(readings), BATCH):
        yield readings[first : first + BATCH]


async def _empty(engine: AsyncEngine, owner: str) -> None:
    await engine.dispose()
    async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as connection:
        await connection.execute("TRUNCATE trend_readings, trend_snapshots, trend_names CASCADE")


async def _bare(owner: str, readings: Sequence[Reading]) -> float:
    """The limit: one COPY."""
    async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as connection:
        await connection.execute("DROP TABLE IF EXISTS bare")
        await connection.execute(
            "CREATE TABLE bare"
            " (source smallint, at timestamptz, name text, rank smallint, promoted boolean, volume int8)"
        )
        began = time.perf_counter()
        async with (
            connection.cursor() as cursor,
            cursor.copy("COPY bare FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(["int2", "timestamptz", "text", "int2", "bool", "int8"])
            for one in readings:
                for row in one.rows:
                    await copy.write_row(
                        (one.source_id, one.bucket_at, row.name.name, row.rank, row.promoted, row.volume)
                    )
        seconds = time.perf_counter() - began
        [(count,)] = await (await connection.execute("SELECT count(*) FROM bare")).fetchall()
        assert count == OBSERVATIONS
        return seconds
