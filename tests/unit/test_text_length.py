"""We count a text as X does: by the conformance data of twitter-text, configuration v3, and by what follows from it."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.x_sandbox.texts import fits
from tasks.domain.text_length import WEIGHTED_LENGTH_MAX, weighted_length, why_refused

CASES = json.loads((Path(__file__).parent / "data" / "twitter_text_v3.json").read_text())["cases"]
WORDS = st.text(st.characters(max_codepoint=0x2FF, categories=["L"]), min_size=1, max_size=50)
IDEOGRAPHS = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1, max_size=200)


def test_every_case_of_version_3_is_here() -> None:
    assert len(CASES) == 24


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["description"])
def test_conformance(case: dict[str, Any]) -> None:
    assert weighted_length(case["text"]) == case["weightedLength"]
    assert (why_refused(case["text"]) is None) == case["valid"]


@given(WORDS)
def test_a_letter_of_western_scripts_counts_one(word: str) -> None:
    assert weighted_length(word) == len(unicodedata.normalize("NFC", word))


@given(IDEOGRAPHS)
def test_an_ideograph_counts_two(text: str) -> None:
    assert weighted_length(text) == 2 * len(text)


@given(st.text(st.sampled_from("abc/-_0"), max_size=1_000))
def test_an_address_counts_23_however_long_it_is(path: str) -> None:
    assert weighted_length(f"https://example.org/{path}a") == 23


@given(st.text(max_size=300))
def test_a_text_counts_the_same_however_its_accents_are_written(text: str) -> None:
    composed, parted = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert weighted_length(composed) == weighted_length(parted) == weighted_length(text)


@given(WORDS, st.lists(WORDS, max_size=20))
def test_words_add_up(first: str, more: list[str]) -> None:
    lengths = [weighted_length(word) for word in (first, *more)]
    assert weighted_length(" ".join([first, *more])) == sum(lengths) + len(more)


@pytest.mark.parametrize("text", ["", " \n\t\u3000"])
def test_a_text_that_says_nothing_is_refused(text: str) -> None:
    assert why_refused(text) == "nothing but white space"


def test_a_refused_character_is_named() -> None:
    assert why_refused("a\ufeffb\uffff") == "U+FEFF, U+FFFF in it, which X takes in no text"


@pytest.mark.parametrize("character", ["a", "\u6f22", "\U0001f600"])
def test_the_bound_is_280(character: str) -> None:
    weight = weighted_length(character)
    most = WEIGHTED_LENGTH_MAX // weight
    assert why_refused(character * most) is None
    assert why_refused(character * (most + 1)) == f"{280 + weight} weighted characters, X takes 280"


@given(st.text(max_size=300) | st.text(st.sampled_from("a.c /\u6f22\U0001f600\ufeffhttps:xorg"), max_size=320))
def test_what_we_take_the_sandbox_takes_and_no_more(text: str) -> None:
    stripped = text.strip()
    assert fits(stripped) == (why_refused(stripped) is None)
