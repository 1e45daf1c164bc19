"""Near duplicates: how long the gate looks for one among all that a fleet has said, and how many it finds."""

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median, quantiles
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from blocks.postgres.engine import Login, open_engine
from tasks.domain.near_duplicates import bands, normal_form, similarity
from tasks.domain.policy.policies import Policies
from tasks.store import base, fingerprints, posts
from tasks.store.fingerprints import Print
from tests.bench import fleet
from tests.bench.figure import Figure
from tests.makers import a_draft, stored_bots
from tests.migrated_postgres import fresh_database, migrated_postgres

POSTS, BOTS, BATCH = 100_000, 200, 2000
LOOKS, TWINS, SCANS = 1000, 500, 10
SEED = 7
PLACES = ("Lisbon", "Vienna", "Osaka", "Budapest", "Utrecht", "Dublin", "Bergen", "Trieste", "Cadiz", "Gdansk")
SUBJECTS = ("ferry", "tram", "bridge", "museum", "river", "night bus", "market", "library", "pool", "funicular")
VERBS = ("is closed", "runs late", "opens early", "is back", "moves", "is full", "is empty", "waits", "turns", "rests")
WORDS = (
    "harbour fog wind signal repair crew platform ticket morning evening delay queue storm tide gauge barrier exhibit "
    "lacquer compass chart sundial harmonica vellum drawer window garden statue bell clock stair detour corner square "
    "station terminal pier quay lock weir ramp hill tunnel crossing avenue park"
).split()


def near_duplicate_p50_ms() -> list[Figure]:
    """What the gate asks of one more text among 100,000."""
    return asyncio.run(_measured())


def said(chance: random.Random) -> str:
    """What a service bot says: a frame that many share, with facts of its own."""
    facts = " ".join(chance.choices(WORDS, k=chance.randint(4, 14)))
    hour, minute = chance.randrange(24), chance.randrange(60)
    place, subject, verb = chance.choice(PLACES), chance.choice(SUBJECTS), chance.choice(VERBS)
    return f"{place}: the {subject} {verb} at {hour}:{minute:02d}, {facts}."


def twin(text: str, chance: random.Random) -> str:
    """The same with a word changed and other dressing."""
    words = text.split()
    words[chance.randrange(len(words))] = chance.choice(WORDS)
    return " ".join(words).upper() if chance.random() < 0.5 else " ".join(words) + " 🌫️ https://example.org/x"


async def _measured() -> list[Figure]:
    chance = random.Random(SEED)  # noqa: S311 # the same texts each time
    texts = [said(chance) for _ in range(POSTS)]
    with migrated_postgres() as server, fresh_database(server, "near_duplicates") as database:

        async def login() -> Login:
            return Login("vivesphere_app", server.password)

        engine = open_engine(database, login, application="bench", pool_size=2)
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        bots = await _stored(sessions, texts)
        async with sessions.begin() as session:
            now = await base.now(session)
            looks = [await _look(session, said(chance), bots[0], now) for _ in range(LOOKS)]
            pairs = [(original, twin(original, chance)) for original in chance.sample(texts, TWINS)]
            twins = [other for original, other in pairs if _alike(original, other)]
            found = [hit for _, hit in [await _look(session, one, bots[0], now) for one in twins]]
        await engine.dispose()
        scans = [_scanned(said(chance), texts) for _ in range(SCANS)]
    seconds = [second for second, _ in looks]
    return [
        Figure(
            "near_duplicate_p50_ms",
            1000 * median(seconds),
            1000 * median(scans),
            "ms",
            "ours <= 5",
            {
                "p99": 1000 * quantiles(seconds, n=100)[98],
                "near twins found": 100 * sum(found) / len(twins),
                "of other texts called alike": 100 * sum(hit for _, hit in looks) / LOOKS,
            },
            f"One more text among {POSTS:,} of {BOTS} bots in 90 days, from the text to the answer: its bands, the"
            " lock, the search in Postgres and the exact comparison of what it found. The limit is the comparison with"
            " every text in memory, without a database. A near twin has one word changed and other dressing, and"
            f" is as alike as the setting asks: {len(twins)} of {TWINS}. {fleet.load()}",
            {"near twins found": "%", "of other texts called alike": "%"},
        )
    ]


async def _stored(sessions: async_sessionmaker[AsyncSession], texts: Sequence[str]) -> list[UUID]:
    async with sessions.begin() as session:
        bots = await stored_bots(session, BOTS)
        now = await base.now(session)
    for start in range(0, len(texts), BATCH):
        some = texts[start : start + BATCH]
        async with sessions.begin() as session:
            ids = await posts.new_ids(session, len(some))
            # Half is out, half is to come.
            drafts = {
                post_id: (
                    a_draft(text=one, due_at=now + timedelta(days=80 * (2 * (start + place) / len(texts) - 1))),
                    bots[1 + place % (BOTS - 1)],
                )
                for place, (post_id, one) in enumerate(zip(ids, some, strict=True))
            }
            await posts.add(session, drafts, "api", "bench")
            prints = [
                Print(post_id, bot_id, bands(normal_form(draft.text)), ())
                for post_id, (draft, bot_id) in drafts.items()
            ]
            await fingerprints.put(session, prints)
    async with sessions.begin() as session:
        await session.execute(text("ANALYZE text_fingerprints"))
    return bots


async def _look(session: AsyncSession, said: str, bot_id: UUID, now: datetime) -> tuple[float, bool]:
    began = time.perf_counter()
    policies = Policies()
    form = normal_form(said)
    made = Print(UUID(int=1), bot_id, bands(form), ())
    await fingerprints.lock(session, [band % 128 for band in made.bands])
    candidates = await fingerprints.alike(session, [made], [now], timedelta(days=policies.alike_days))
    hit = any(similarity(form, normal_form(one.text)) >= policies.alike_from for one in candidates)
    return time.perf_counter() - began, hit


def _alike(one: str, other: str) -> bool:
    return similarity(normal_form(one), normal_form(other)) >= Policies().alike_from


def _scanned(said: str, texts: Sequence[str]) -> float:
    began = time.perf_counter()
    form = normal_form(said)
    any(similarity(form, normal_form(one)) >= Policies().alike_from for one in texts)
    return time.perf_counter() - began
