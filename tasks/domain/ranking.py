"""Which trends concern whom: by what words mean where there are vectors for them, else by the words themselves.

Vectors of a language lie together whatever they are about, and some texts are near to everything. So the middle of its
language is taken from each trend, and that of all interests from each interest; what is left is what is special.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Method = Literal["meaning", "words"]

# What people are interested in, in general: the middle of interests holds also where there is only one persona.
GENERAL = (
    "politics|sport|weather|food|music|film|technology|science|animals|transport|art|business|health|crime|games|religion"
    "|celebrities|education|travel|law"
).split("|")
# A language with few trends has its middle drawn towards that of all, as if it had so many more of theirs.
DRAWN_BY = 2.0
# Below it a trend concerns nobody in particular (tests/trend_ranking.py prints what lies on either side).
LEAST: Mapping[Method, float] = {"meaning": 0.12, "words": 0.05}
# A trend that is this near to what a persona never speaks of is left out, if it is no nearer to an interest.
NEVER_LEAST = 0.15
GRAM = 3
SCRIPTS = {"HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "THAI": "th", "HEBREW": "he", "GREEK": "el"}
# Scripts that several languages share: their trends have a middle of their own, but no language.
SHARED = {"CJK": "Han", "ARABIC": "Arabic", "CYRILLIC": "Cyrillic", "DEVANAGARI": "Devanagari"}


@dataclass(frozen=True)
class Candidate:
    """A trend: its name, one headline of the news behind it, and the language that its source tells."""

    name: str
    headline: str | None = None
    language: str | None = None

    @property
    def text(self) -> str:
        """What is compared."""
        return f"{self.name}. {self.headline}" if self.headline else self.name


@dataclass(frozen=True)
class Reader:
    """Who is looked for: a persona's interests, its languages, and what it never speaks of."""

    interests: tuple[str, ...]
    languages: tuple[str, ...] = ()
    never_topics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pick:
    """A trend for a persona: `nearness` is that to `interest`, the nearest; `score` its mean with that to all."""

    candidate: Candidate
    score: float
    interest: str
    nearness: float
    method: Method

    @property
    def said(self) -> str:
        """Why, in words and numbers."""
        by = "by meaning" if self.method == "meaning" else "by shared words only, as there is no model here"
        return f"near to “{self.interest}” by {self.nearness:.2f}, to all interests {self.score:.2f} ({by})"


@dataclass(frozen=True)
class Vectors:
    """Vectors of length 1, a row each: of candidates, of GENERAL, and of interests and never-topics by text."""

    candidates: npt.NDArray[np.float32]
    general: npt.NDArray[np.float32]
    topics: Mapping[str, npt.NDArray[np.float32]]


def rank(
    candidates: Sequence[Candidate], readers: Sequence[Reader], vectors: Vectors | None, most: int
) -> list[list[Pick]]:
    """For each reader the trends that concern it, the nearest first."""
    topics = list(dict.fromkeys(topic for reader in readers for topic in (*reader.interests, *reader.never_topics)))
    if not candidates or not topics:
        return [[] for _ in readers]
    method: Method = "words" if vectors is None else "meaning"
    near = _by_words(candidates, topics) if vectors is None else _by_meaning(candidates, readers, topics, vectors)
    column = {topic: number for number, topic in enumerate(topics)}
    return [_for(reader, candidates, near, column, method, most) for reader in readers]


def tongue(candidate: Candidate) -> str:
    """The language of a trend as far as it can be told; what its letters say where the source is silent."""
    if candidate.language:
        return candidate.language
    names = Counter(unicodedata.name(mark, "").partition(" ")[0] for mark in candidate.name if mark.isalpha())
    for script, language in SCRIPTS.items():
        if names[script]:
            return language
    script = max(names, key=lambda each: names[each], default="")
    return SHARED.get(script, "Latin")


def refusal(candidate: Candidate, reader: Reader) -> str | None:
    """Why a trend is nothing for a persona whatever it is about; None where nothing speaks against it."""
    language = tongue(candidate)
    spoken = {each.partition("-")[0] for each in reader.languages}
    if spoken and language.islower() and language not in spoken:
        return f"in {language}, which it does not speak"
    words = set(_words(candidate.text))
    for topic in reader.never_topics:
        said = _words(topic)
        if said and all(word in words for word in said):
            return f"never speaks of {topic}"
    return None


def _for(
    reader: Reader,
    candidates: Sequence[Candidate],
    near: Numbers,
    column: Mapping[str, int],
    method: Method,
    most: int,
) -> list[Pick]:
    if not reader.interests:
        return []
    interests = near[:, [column[topic] for topic in reader.interests]]
    best = interests.max(axis=1)
    scores = (best + interests.mean(axis=1)) / 2
    never = near[:, [column[topic] for topic in reader.never_topics]].max(axis=1, initial=-1.0)
    wanted = (best >= LEAST[method]) & ~((never >= NEVER_LEAST) & (never >= best))
    found: list[Pick] = []
    for at in np.argsort(-scores, kind="stable"):
        if len(found) == most:
            break
        if wanted[at] and refusal(candidates[at], reader) is None:
            interest = reader.interests[int(interests[at].argmax())]
            found.append(Pick(candidates[at], float(scores[at]), interest, float(best[at]), method))
    return found


def _by_meaning(
    candidates: Sequence[Candidate], readers: Sequence[Reader], topics: Sequence[str], vectors: Vectors
) -> Numbers:
    things = vectors.candidates.astype(np.float64)
    middle = things.mean(axis=0)
    tongues = np.array([tongue(candidate) for candidate in candidates])
    for language in np.unique(tongues):
        of_it = tongues == language
        things[of_it] -= (things[of_it].sum(axis=0) + DRAWN_BY * middle) / (of_it.sum() + DRAWN_BY)
    interests = dict.fromkeys(topic for reader in readers for topic in reader.interests)
    general = np.vstack([vectors.general, *(vectors.topics[topic][None, :] for topic in interests)]).mean(axis=0)
    asked = np.vstack([vectors.topics[topic] for topic in topics]) - general
    return np.asarray(_unit(things) @ _unit(asked).T)


def _unit(rows: Numbers) -> Numbers:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))


def _by_words(candidates: Sequence[Candidate], topics: Sequence[str]) -> Numbers:
    """TF-IDF over words and pieces of them, by which compounds and endings are found."""
    things = [Counter(_pieces(candidate.text)) for candidate in candidates]
    seen = Counter(piece for thing in things for piece in thing)
    weighed = [_weighed(thing, seen, len(things)) for thing in things]
    asked = [_weighed(Counter(_pieces(topic)), seen, len(things)) for topic in topics]
    holders: dict[str, list[tuple[int, float]]] = {}
    for row, thing in enumerate(weighed):
        for piece, weight in thing.items():
            holders.setdefault(piece, []).append((row, weight))
    near = np.zeros((len(things), len(topics)))
    for number, topic in enumerate(asked):
        for piece, weight in topic.items():
            for row, other in holders.get(piece, ()):
                near[row, number] += weight * other
    return near


def _weighed(counted: Counter[str], seen: Mapping[str, int], things: int) -> dict[str, float]:
    found = {
        piece: (1 + math.log(times)) * (math.log((1 + things) / (1 + seen.get(piece, 0))) + 1)
        for piece, times in counted.items()
    }
    length = math.sqrt(sum(weight * weight for weight in found.values())) or 1.0
    return {piece: weight / length for piece, weight in found.items()}


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("i\u0307", "i")
    return re.findall(r"\w+", folded)


def _pieces(text: str) -> Iterable[str]:
    for word in _words(text):
        yield word
        edged = f"_{word}_"
        yield from (edged[at : at + GRAM] for at in range(max(1, len(edged) - GRAM + 1)))
