"""`vivesphere trends`."""

import json
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.store import base, personas, trends
from tests.cli.conftest import Terminal
from tests.makers import a_persona, stored_bots, stored_trends

Sessions = async_sessionmaker[AsyncSession]


async def test_what_rises_is_told_in_words_and_numbers(stack: Terminal, sessions: Sessions) -> None:
    nothing = await stack("trends", "sources")
    assert (nothing.code, "trend_sources.contact" in nothing.out + nothing.err) == (0, True)
    assert "nothing rises" in (lambda told: told.out + told.err)(await stack("trends", "rising"))
    async with sessions.begin() as session:
        await stored_trends(session, "Eclipse", "Wien", "Turn\x1b[31m red", rising=["Eclipse"])
        [source] = await trends.health(session)
        now = await base.now(session)
        for _ in range(2):
            await trends.note_bad(session, source.id, now, "blocked", "it says 403", now + timedelta(hours=1))
    rising = await stack("trends", "rising")
    assert "Eclipse" in rising.out and "place 1, not listed the day before" in rising.out and "Wien" not in rising.out
    everything = await stack("trends", "rising", "--all")
    assert "Wien" in everything.out and "\x1b" not in everything.out
    shown = await stack("trends", "show", "#eclipse")
    for words in ("score 5.5", "burst", "1 of 3", "1000", "news_feed"):
        assert words in shown.out + shown.err
    sources = await stack("trends", "sources")
    for words in ("blocked, 2 times", "it says 403", "news_feed:https://example.org/news"):
        assert words in sources.out
    assert json.loads((await stack("trends", "sources", "--json")).out)[0]["rows"] == 3
    async with sessions.begin() as session:
        wanted = a_persona(name="Chaser", interests=("eclipse chasing",))
        await stored_bots(session, persona_id=(await personas.put(session, [wanted]))["Chaser"])
    picked = await stack("trends", "for", "@bot_0")
    for words in ("Eclipse", "near to", "eclipse chasing", "3 trends compared by shared words", "place 1, not listed"):
        assert words in " ".join((picked.out + picked.err).split())
    unknown = await stack("trends", "show", "nobody knows it")
    assert (unknown.code, "no list of the last 2 days" in unknown.err) == (1, True)
