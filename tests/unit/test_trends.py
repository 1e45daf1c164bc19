"""Names of trends: which spellings are one, and what is no trend."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain import trends
from tasks.domain.trends import canonical, cluster, spam


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("#BlackFriday", "black  friday"),
        ("#black_friday", "Black Friday"),
        ("＃ＷｏｒｌｄＣｕｐ", "#WorldCup"),  # noqa: RUF001
        ("İSTANBUL", "istanbul"),
        ("ISPARTA", "ısparta"),  # noqa: RUF001
        ("DİYARBAKIR", "Diyarbakır"),  # noqa: RUF001
        ("Straße", "STRASSE"),
        ("caf\u00e9", "CAFE\u0301"),
        ("Wien\u200b", "\u202ewien\u2069"),
        ("&nbsp;".replace("&nbsp;", "\u00a0") + "Big Ben", "big ben"),
        ("#UKElection", "UK election"),
        ("#G20Summit", "g20 summit"),
        ("«Wien»".strip("«»"), "Wien."),
    ],
)
def test_spellings_of_one_thing_are_one_name(one: str, another: str) -> None:
    assert canonical(one) == canonical(another) != ""


@pytest.mark.parametrize(
    ("one", "another"), [("Mars", "Mars 2"), ("東京", "京都"), ("القاهرة", "الجيزة"), ("$TSLA", "tsla"), ("C", "C++")]
)
def test_other_things_are_not(one: str, another: str) -> None:
    assert canonical(one) != canonical(another)


def test_with_and_without_spaces_it_is_one_cluster_in_any_script() -> None:
    assert cluster(canonical("#BlackFriday")) == cluster(canonical("#blackfriday")) == "blackfriday"
    assert cluster(canonical("हिन्दी दिवस")) == cluster(canonical("#हिन्दी_दिवस"))
    assert cluster("🎄") == "🎄"


@given(st.text(max_size=300))
@settings(max_examples=200)
def test_a_canonical_name_is_its_own_and_shows_what_it_is(name: str) -> None:
    found = canonical(name)
    assert canonical(found) == found
    assert len(found) <= trends.NAME_CHARACTERS_MAX
    assert all(unicodedata.category(mark) not in ("Cc", "Cf") for mark in found)
    assert bool(cluster(found)) == bool(found)


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20))
@settings(max_examples=100)
def test_large_or_small_with_or_without_a_hash_it_is_one_cluster(word: str) -> None:
    assert cluster(canonical("#" + word.casefold())) == cluster(canonical(word.casefold()))


@pytest.mark.parametrize(
    "name",
    [
        "Call +90 532 123 45 67",
        "escort 0532-123-45-67 bayan",
        "٠٥٣٢ ١٢٣ ٤٥ ٦٧ الرياض",
        "(0800) 123 4567 89 support",
        "дaтиngк",
        "ρаypal",
        "раypal login",  # noqa: RUF001
        "abc где αβγ",
    ],
)
def test_spam_is_known_by_its_numbers_and_its_letters(name: str) -> None:
    assert spam(name)


@pytest.mark.parametrize(
    "name",
    [
        "2026-11-25",
        "25.11.2026",
        "#COVID19",
        "10 000 000 views"[:6],
        "iPhoneовский обзор",
        "Windows 11 を試す",
        "삼성 Galaxy S30",
        "Т-34",
        "χ²-Test",
        "Ελλάδα vs France",
        "مصر Egypt",
        "3-2 Real Madrid",
        "NASA's Artemis II",
        "Ødegaard",
        "Alien: Earth",
    ],
)
def test_what_people_talk_of_is_no_spam(name: str) -> None:
    assert spam(name) is None
