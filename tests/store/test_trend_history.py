"""Trends on a real Postgres: readings that arrive twice, late or in another order, and what a failing source leaves."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.store import base, metrics, trends
from tasks.store.trends import Name, Reading, Row

Sessions = async_sessionmaker[AsyncSession]
QUARTER = timedelta(minutes=15)
# The turn of a month lies in between.
START = datetime(2026, 5, 31, 22, 0, tzinfo=UTC)


def a_name(number: int) -> Name:
    return Name(f"name {number}", f"name{number}", f"Name {number}", "topic")


def a_reading(source: int, step: int, names: Sequence[int], late_seconds: int = 5) -> Reading:
    bucket_at = START + step * QUARTER
    rows = [Row(a_name(number), rank, 1000 * number) for rank, number in enumerate(names, 1)]
    return Reading(source, bucket_at, bucket_at + timedelta(seconds=late_seconds), rows)


async def add(sessions: Sessions, readings: Sequence[Reading]) -> int:
    async with sessions.begin() as session:
        return await trends.add(session, readings)


async def kept(sessions: Sessions) -> dict[tuple[int, datetime], list[tuple[str, int, int | None]]]:
    found: dict[tuple[int, datetime], list[tuple[str, int, int | None]]] = {}
    async with sessions.begin() as session:
        rows = await session.execute(
            text(
                "SELECT source_id, bucket_at, name.name, rank, volume FROM trend_snapshots AS snapshot"
                " JOIN trend_names AS name ON name.id = name_id ORDER BY source_id, bucket_at, rank"
            )
        )
        for row in rows:
            found.setdefault((row.source_id, row.bucket_at), []).append((row.name, row.rank, row.volume))
    return found


@pytest.mark.promise("D1")
async def test_readings_in_any_order_with_repeats_and_lateness_make_the_same_history(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await metrics.make_months(session, date(2026, 5, 1), date(2026, 6, 1))
    random = Random(3)  # noqa: S311  # it plays arrivals, and must play them the same way again
    history = [a_reading(source, step, random.sample(range(40), 12)) for source in (1, 2) for step in range(20)]
    wanted = {
        (one.source_id, one.bucket_at): [(row.name.name, row.rank, row.volume) for row in one.rows] for one in history
    }
    older = [
        replace(one, observed_at=one.observed_at - timedelta(seconds=2), rows=one.rows[::-1])
        for one in random.sample(history, 15)
    ]
    arriving = [*history, *older, *random.sample(history, 15)]
    random.shuffle(arriving)
    for one in arriving:
        await add(sessions, [one])
    assert await kept(sessions) == wanted
    assert await add(sessions, history) == 0
    async with sessions.begin() as session:
        seen = await session.execute(text("SELECT name, first_seen_at, last_seen_at FROM trend_names"))
        told = {row.name: (row.first_seen_at, row.last_seen_at) for row in seen}
    for name, (first, last) in told.items():
        at = [bucket for (_, bucket), rows in wanted.items() if name in [row[0] for row in rows]]
        assert first <= min(at)
        assert max(at) - trends.SEEN_AGAIN <= last <= max(at)


async def test_a_newer_answer_takes_the_place_of_the_whole_older_one(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await metrics.make_months(session, date(2026, 5, 1), date(2026, 6, 1))
    assert await add(sessions, [a_reading(1, 0, [1, 2, 3])]) == 3
    assert await add(sessions, [a_reading(1, 0, [9], late_seconds=4)]) == 0
    assert await add(sessions, [a_reading(1, 0, [4, 1], late_seconds=9)]) == 2
    assert list((await kept(sessions)).values()) == [[("name 4", 1, 4000), ("name 1", 2, 1000)]]


EVERY, LEASE = timedelta(minutes=15), timedelta(minutes=5)


async def test_a_failing_source_leaves_when_it_was_good_last_and_says_why(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await trends.want(session, "rss", [("news", "one"), ("news", "two")])
        [one, two] = await trends.take_due(session, "rss", LEASE)
        assert (one.place, two.place) == ("one", "two")
        assert await trends.take_due(session, "rss", LEASE) == []
        now = await base.now(session)
        await trends.note_good(session, one.id, now, 20, now - timedelta(seconds=1))
        await trends.note_bad(session, two.id, now, "blocked", "it says 403", now + EVERY)
    async with sessions.begin() as session:
        [again] = await trends.take_due(session, "rss", LEASE)
        assert (again.place, again.failures) == ("one", 0)
        await trends.note_bad(session, again.id, now + EVERY, "unreachable", "no address", now + EVERY)
        health = {source.place: source for source in await trends.health(session)}
    assert (health["one"].verdict, health["one"].good_at, health["one"].rows) == ("unreachable", now, 20)
    assert (health["one"].reason, health["one"].failures) == ("no address", 1)
    assert (health["two"].good_at, health["two"].rows, health["two"].reason) == (None, None, "it says 403")


async def test_what_the_settings_do_not_want_is_not_read_and_not_forgotten(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await trends.want(session, "api", [("tags", "a"), ("tags", "b")])
        await trends.want(session, "rss", [("news", "c")])
        await trends.want(session, "api", [("tags", "b")])
        assert [one.place for one in await trends.take_due(session, "api", LEASE)] == ["b"]
        assert {one.place for one in await trends.health(session)} == {"b", "c"}
        await trends.want(session, "api", [("tags", "a"), ("tags", "b")])
        assert [one.place for one in await trends.take_due(session, "api", LEASE)] == ["a"]
