"""Trends for a bot: what stands on lists is compared with what its persona is interested in. Insight only."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from blocks.embedding import DIMENSIONS, MODEL, Embedder, embedder
from tasks.connections import Connections
from tasks.domain import ranking
from tasks.domain.personas import Persona
from tasks.domain.ranking import GENERAL, Candidate, Method, Reader, Vectors
from tasks.domain.roles import Actor
from tasks.operations.bots import NoSuchBotError
from tasks.store import bots, personas, trend_vectors
from tasks.store.trend_vectors import Current

CANDIDATES_MOST = 2000
# So many new trends a run gives vectors to; what is more waits for the next.
NEW_MOST = 500
# As vectors are kept.
KEPT = np.dtype("<f2")


@dataclass(frozen=True)
class PickedTrend:
    """A trend for a bot, and why, in words and numbers; `rising` is what it scores for everybody."""

    shown: str
    language: str | None
    url: str | None
    headline: str | None
    score: float
    interest: str
    rising: float
    why: Sequence[str]


@dataclass(frozen=True)
class Picks:
    """Trends for a bot, the nearest first; `waiting` trends were not compared, because they have no vector yet."""

    persona: str
    method: Method
    compared: int
    waiting: int
    picks: Sequence[PickedTrend]


@dataclass
class Model:
    """The model of this process, loaded when it is needed first, and what it said of topics, which seldom change."""

    lock: Lock = field(default_factory=Lock)
    topics: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]] = field(default_factory=dict)
    is_loaded: bool = False
    embedder: Embedder | None = None

    def load(self) -> Embedder | None:
        """It, or None where this machine has none; call it with the lock held."""
        if not self.is_loaded:
            self.embedder, self.is_loaded = embedder(), True
        return self.embedder

    def of_topics(self, wanted: Sequence[str]) -> bool:
        """Have the vectors of these; False where there is no model. It takes seconds: call it in a thread."""
        with self.lock:
            missing = [topic for topic in dict.fromkeys(wanted) if topic not in self.topics]
            found = self.load()
            if found is None:
                return False
            if missing:
                self.topics |= dict(zip(missing, found.of_interests(missing), strict=True))
            return True

    def of_trends(self, texts: Sequence[str]) -> list[bytes] | None:
        """Vectors of trends as they are kept; None where there is no model. It takes seconds: call it in a thread."""
        with self.lock:
            found = self.load()
            return None if found is None else [row.tobytes() for row in found.of_things(texts).astype(KEPT)]


async def compare_new(at: Connections) -> int:
    """Give trends that have none their vectors; how many got one."""
    async with at.transaction() as session:
        current = await trend_vectors.current(session, MODEL, CANDIDATES_MOST)
    new = [one for one in current if one.vector is None][:NEW_MOST]
    if not new:
        return 0
    found = await asyncio.to_thread(at.kept(Model, Model).of_trends, [_candidate(one).text for one in new])
    if found is None:
        return 0
    async with at.transaction() as session:
        await trend_vectors.keep(session, MODEL, dict(zip((one.name_id for one in new), found, strict=True)))
    return len(found)


async def for_bot(at: Connections, handle: str, actor: Actor, limit: int) -> Picks:
    """Trends that concern a bot's persona, the nearest first; by words alone where there is no model or no vector yet.

    Raises NoSuchBotError.
    """
    async with at.transaction() as session:
        bot = (await bots.by_handles(session, [handle], actor.within("trends.read"))).get(handle.lower())
        if bot is None:
            raise NoSuchBotError(handle)
        _, persona = await personas.get(session, bot.persona)
        current = await trend_vectors.current(session, MODEL, CANDIDATES_MOST)
    compared = [one for one in current if one.vector is not None]
    topics = (*GENERAL, *persona.interests, *persona.never_topics)
    model = at.kept(Model, Model)
    if not compared or not await asyncio.to_thread(model.of_topics, topics):
        return _picks(persona, current, None, limit, 0)
    vectors = Vectors(
        np.stack([np.frombuffer(one.vector or b"", KEPT, DIMENSIONS) for one in compared]).astype(np.float32),
        np.stack([model.topics[topic] for topic in GENERAL]),
        {topic: model.topics[topic] for topic in topics},
    )
    return _picks(persona, compared, vectors, limit, len(current) - len(compared))


def _picks(persona: Persona, current: Sequence[Current], vectors: Vectors | None, limit: int, waiting: int) -> Picks:
    candidates = {_candidate(one): one for one in current}
    reader = Reader(persona.interests, persona.languages, persona.never_topics)
    [found] = ranking.rank([_candidate(one) for one in current], [reader], vectors, limit)
    picks = []
    for pick in found:
        one = candidates[pick.candidate]
        why = [pick.said, *(str(part["said"]) for part in one.parts)]
        picks.append(
            PickedTrend(one.shown, one.language, one.url, one.headline, pick.score, pick.interest, one.score, why)
        )
    return Picks(persona.name, "words" if vectors is None else "meaning", len(current), waiting, picks)


def _candidate(one: Current) -> Candidate:
    return Candidate(one.shown, one.headline, one.language)
