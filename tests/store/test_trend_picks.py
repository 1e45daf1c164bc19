"""Trends for a bot: compared on a real Postgres by the real model, and by words where there is none."""

from collections.abc import Mapping
from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from blocks.embedding import MODEL
from blocks.postgres.engine import Server
from config.places import Places
from config.settings import Settings
from tasks.connections import Connections
from tasks.domain.roles import Actor, Grant
from tasks.operations import trend_picks
from tasks.operations.bots import NoSuchBotError
from tasks.store import base, metrics, personas, trend_vectors, trends
from tasks.store.trends import Name, Reading, Row, Score
from tests.makers import a_persona, stored_bots

VIEWER = Actor("viewer", "user", frozenset({Grant("viewer")}))
PERSONA = a_persona(
    name="Quay",
    interests=("ferries and harbours", "public transport"),
    languages=("en", "tr"),
    never_topics=("accident",),
)
# Name, headline, language.
LISTED: Mapping[str, tuple[str | None, str | None]] = {
    "vapur seferleri": ("Fırtına nedeniyle vapur seferleri iptal edildi", "tr"),
    "night tram": ("The last tram now leaves at two in the morning", "en"),
    "ferry accident": ("Two hurt as a ferry hits the pier", "en"),
    "bahnstreik": ("Züge fallen bundesweit aus", "de"),
    "pumpkin pie": ("Ten recipes for the holiday", "en"),
    "derby": (None, None),
    "monaco grand prix": ("Home win in the rain", "en"),
    "baklava": ("Gaziantep'te baklava festivali başladı", "tr"),
}
TRANSPORT = {"vapur seferleri", "night tram"}


@pytest.fixture
async def at(engine: AsyncEngine, database: Server, sessions: async_sessionmaker[AsyncSession]) -> Connections:
    """A database with one bot and with trends on its lists."""
    async with sessions.begin() as session:
        await stored_bots(session, persona_id=(await personas.put(session, [PERSONA]))["Quay"])
        now = await base.now(session)
        await metrics.make_months(session, date(now.year, now.month, 1), date(now.year, now.month, 1))
        names = [Name(name, name.replace(" ", ""), name, "topic", language) for name, (_, language) in LISTED.items()]
        await trends.add(session, [Reading(1, now, now, [Row(name, rank) for rank, name in enumerate(names, 1)])])
        ids = await trends.name_ids(session, {name: (now, now) for name in names})
        headlines = {name: headline for name, (headline, _) in LISTED.items() if headline}
        await trend_vectors.note_headlines(session, headlines)
        await trend_vectors.note_headlines(session, {"derby": "Noted later", "night tram": "Too late", "unknown": "x"})
        part = {"name": "burst", "points": 2.0, "said": "place 1, not listed the day before"}
        scores = [Score(name.cluster, ids[name.name], 2.0, [part], ["news"], True) for name in names]
        await trends.write_scores(session, scores, now, trends.SEEN_AGAIN)
    return Connections(Places(Settings()), database, None, engine, None, None, None, None)  # type: ignore[arg-type]


async def test_each_trend_is_compared_once_and_the_picks_say_why(
    at: Connections, sessions: async_sessionmaker[AsyncSession]
) -> None:
    assert (await trend_picks.for_bot(at, "bot_0", VIEWER, 20)).method == "words"
    assert await trend_picks.compare_new(at) == len(LISTED)
    assert await trend_picks.compare_new(at) == 0
    found = await trend_picks.for_bot(at, "bot_0", VIEWER, 20)
    assert (found.persona, found.method, found.compared, found.waiting) == ("Quay", "meaning", len(LISTED), 0)
    assert {pick.shown for pick in found.picks[:2]} == TRANSPORT
    assert not {pick.shown for pick in found.picks} & {"ferry accident", "bahnstreik"}
    assert [pick.score for pick in found.picks] == sorted((pick.score for pick in found.picks), reverse=True)
    best = found.picks[0]
    assert best.why[0].startswith(f"near to “{best.interest}” by ") and best.why[0].endswith("(by meaning)")
    assert best.why[1] == "place 1, not listed the day before"
    assert (best.rising, best.headline) == (2.0, LISTED[best.shown][0])
    async with sessions.begin() as session:
        kept = {one.shown: one for one in await trend_vectors.current(session, MODEL, 100)}
        assert kept["derby"].headline == "Noted later"
        assert {len(one.vector or b"") for one in kept.values()} == {768}
        assert all(one.vector is None for one in await trend_vectors.current(session, "another", 100))
        await session.execute(text("DELETE FROM trend_names"))
        assert (await session.execute(text("SELECT count(*) FROM trend_vectors"))).scalar_one() == 0


async def test_without_the_model_words_decide_and_it_is_said(at: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trend_picks, "embedder", lambda: None)
    assert await trend_picks.compare_new(at) == 0
    found = await trend_picks.for_bot(at, "BOT_0", VIEWER, 20)
    assert found.method == "words"
    assert all("shared words only" in pick.why[0] for pick in found.picks)
    assert not {pick.shown for pick in found.picks} & {"ferry accident", "bahnstreik"}


async def test_a_bot_that_one_may_not_see_is_not_there(at: Connections) -> None:
    for actor in (Actor("nobody", "user"), Actor("other", "user", frozenset({Grant("viewer", "elsewhere")}))):
        with pytest.raises(NoSuchBotError):
            await trend_picks.for_bot(at, "bot_0", actor, 20)
    with pytest.raises(NoSuchBotError):
        await trend_picks.for_bot(at, "bot_9", VIEWER, 20)
