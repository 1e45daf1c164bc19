"""Collecting trends from a site on a real socket into a real Postgres: what counts, what does not, and what rises."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from blocks.postgres.engine import Server
from blocks.trend_sources import catalogue
from blocks.trend_sources.source import Address, Observation, Reading, TrendSource
from config.places import Places
from config.settings import Settings, TrendSources
from tasks.connections import Connections
from tasks.operations import trends
from tasks.operations.trends import Read, Scored
from tasks.store import trends as store
from tests.postgres_process import PostgresProcess
from tests.trend_pages import Answer, Site, a_site

QUARTER = timedelta(minutes=15)


def parse(page: bytes) -> Reading:
    """A name a line; `!` before it is paid for, a number behind a comma is its volume."""
    lines = page.decode().split("\n")
    if lines[0] == "list":
        rows = [line.partition(",") for line in lines[1:]]
        observations = tuple(
            Observation(name.lstrip("!"), rank, "topic", int(volume) if volume else None, promoted=name[:1] == "!")
            for rank, (name, _, volume) in enumerate(rows, 1)
        )
        return Reading("ok", f"{len(observations)} names", observations)
    return Reading("empty", "nothing on it") if lines[0] == "empty" else Reading("changed", "this is no list")


@pytest.fixture
def site() -> Iterator[Site]:
    with a_site() as found:
        yield found


class Stage:
    """A process that collects, and the clock of its database."""

    def __init__(self, at: Connections, site: Site, owner: str) -> None:
        self.at, self.site, self.owner = at, site, owner

    def lists(self, path: str, *names: str) -> None:
        self.site.answers[path] = Answer("\n".join(["list", *names]).encode())

    def let_pass(self, span: timedelta) -> None:
        with psycopg.connect(self.owner, autocommit=True) as connection:
            connection.execute("UPDATE app_clock SET app_anchor = app_anchor + %s", [span])

    async def run(self) -> list[Read]:
        return [await trends.collect(self.at, "rss", one) for one in await trends.take_due(self.at, "rss")]

    async def health(self) -> dict[str, store.Health]:
        async with self.at.transaction() as session:
            return {one.place: one for one in await store.health(session)}

    async def score(self) -> Scored:
        return await trends.score(self.at)


@pytest.fixture
def stage(
    engine: AsyncEngine,
    database: Server,
    postgres: PostgresProcess,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Stage:
    """Two lists of one site, `/a` and `/b`, and a second kind of source on it, `/c`."""

    def a_source(name: str, path: str) -> TrendSource:
        address = Address(f"http://{site.host}/{path}")
        return TrendSource(name, path, "rss", parse, lambda _: [address])

    found = (a_source("news", "a"), a_source("news", "b"), a_source("talk", "c"))
    monkeypatch.setattr(catalogue, "sources", lambda _: found)
    wanted = TrendSources(contact="ops@example.org", private_hosts=site.host, page_seconds=2)
    places = Places(Settings(home=tmp_path, trend_sources=wanted))
    at = Connections(places, database, None, engine, None, None, None, None)  # type: ignore[arg-type]
    return Stage(at, site, postgres.conninfo(database.database, "vivesphere_owner"))


async def test_one_failing_source_takes_nothing_from_the_others_and_keeps_when_it_was_good(stage: Stage) -> None:
    stage.lists("/a", "#BlackFriday,20000", "Wien", "!Buy this", "black friday,30000")
    stage.site.answers |= {"/b": Answer(b"<html>", 403), "/c": Answer(b"empty")}
    first = {one.source: one for one in await stage.run()}
    assert first["news:a"] == Read("news:a", "ok", "4 names", 3)
    assert first["news:b"] == Read("news:b", "unreachable", "127.0.0.1 answered 403")
    assert first["talk:c"] == Read("talk:c", "empty", "nothing on it")
    assert await stage.run() == []
    agents = {headers["user-agent"] for _, headers in stage.site.asked}
    assert len(agents) == 1 and "ops@example.org" in agents.pop()

    good_at = (await stage.health())["a"].good_at
    stage.let_pass(QUARTER)
    stage.site.answers |= {
        "/a": Answer(b"<html>now something else"),
        "/b": Answer(status=429, headers={"Retry-After": "7200"}),
    }
    again = {one.source: one for one in await stage.run()}
    assert again["news:a"] == Read("news:a", "changed", "this is no list")
    health = await stage.health()
    assert (health["a"].good_at, health["a"].rows, health["a"].verdict) == (good_at, 3, "changed")
    assert health["c"].good_at is None and health["c"].failures == 2
    tried, waits_until = health["b"].tried_at, health["b"].next_at
    assert tried is not None and timedelta(hours=1.9) < waits_until - tried
    async with stage.at.transaction() as session:
        rows = await session.execute(
            text(
                "SELECT name, rank, volume, promoted FROM trend_snapshots JOIN trend_names ON id = name_id"
                " ORDER BY rank"
            )
        )
        assert [tuple(row) for row in rows] == [
            ("black friday", 1, 30000, False),
            ("wien", 2, None, False),
            ("buy this", 3, None, True),
        ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(b"list\n" + b"x" * 20_000), "more than the 10,000 bytes"),
        (Answer(status=302, headers={"Location": "http://169.254.169.254/"}), "not on the public internet"),
        (Answer(b"list", headers={"Content-Length": "99"}), "RemoteProtocolError"),
    ],
)
async def test_a_page_that_cannot_be_had_is_a_reason(stage: Stage, answer: Answer, reason: str) -> None:
    small = stage.at.places.settings.trend_sources.model_copy(update={"page_bytes": 10_000})
    stage.at.places = Places(stage.at.places.settings.model_copy(update={"trend_sources": small}))
    stage.site.answers["/a"] = answer
    found = {one.source: one for one in await stage.run()}["news:a"]
    assert found.verdict == "unreachable"
    assert reason in found.reason


async def test_without_somebody_who_answers_for_it_no_source_is_asked(stage: Stage) -> None:
    stage.at.places = Places(Settings())
    assert await stage.run() == [] and stage.site.asked == []


async def test_what_rises_is_told_once_with_what_it_is_made_of_and_what_is_paid_for_or_spam_never(stage: Stage) -> None:
    calm = [f"Name {number}" for number in range(20)]
    for path in ("/a", "/b", "/c"):
        stage.lists(path, *calm)
    for _ in range(5):
        await stage.run()
        stage.let_pass(timedelta(hours=12))
    for _ in range(4):
        await stage.run()
        stage.let_pass(QUARTER)
    assert (await stage.score()).rising == []
    for path in ("/a", "/c"):
        stage.lists(path, "#Eclipse", "!Buy this", "call +49 170 1234567 now", *calm)
    for _ in range(3):
        await stage.run()
        stage.let_pass(QUARTER)
    found = await stage.score()
    [rising] = found.fresh
    assert (rising.name, rising.cluster, rising.sources) == ("#Eclipse", "eclipse", ["news:a", "talk:c"])
    parts = {part.name: part for part in rising.parts}
    assert rising.score == pytest.approx(sum(part.points for part in rising.parts))
    assert "place 1, not listed the day before" in parts["burst"].said
    assert parts["spread"].said == "rises on 2 sources: news, talk"
    assert parts["novelty"].points == 1
    again = await stage.score()
    assert (len(again.rising), again.fresh) == (1, [])
    async with stage.at.transaction() as session:
        [told] = await store.current(session, 10, only_rising=True)
        assert (told.shown, told.score) == ("#Eclipse", rising.score)
        everything = await store.current(session, 100, only_rising=False)
        assert {one.shown for one in everything} == {"#Eclipse", *calm}
        stood = await store.course(session, "eclipse", datetime(2000, 1, 1).astimezone())
        assert {one.source for one in stood} == {"news:a", "talk:c"} and len(stood) == 6
