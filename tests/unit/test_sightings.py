"""Recognising a text in the form in which X gives it out."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.x_sandbox.texts import shown, stored
from tasks.domain.sightings import Sighting, Wanted, id_before, look_for, made_at, says
from tests.makers import NOON

OURS = str(int(id_before(NOON)) + 1)


def on_x(text: str, **links: str | None) -> Sighting:
    return Sighting(OURS, text, {f"https://t.co/{short}": written for short, written in links.items()})


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (on_x("Bread &amp; cheese &lt;today&gt;"), "Bread & cheese <today>"),
        (on_x("Caf\u00e9"), "Cafe\u0301 "),
        (on_x("one two"), "one\n\ntwo"),
        (on_x("See https://t.co/a now", a="https://example.org/x?a=1&b=2"), "See https://example.org/x?a=1&b=2 now"),
        (on_x("See https://t.co/a", a="http://example.org"), "See example.org"),
        (on_x("See https://t.co/a", a="https://example.org/"), "See https://example.org"),
        (on_x("Look https://t.co/a", a=None), "Look"),
        (on_x("https://t.co/a and https://t.co/b", a="http://a.org", b="http://b.org"), "a.org and http://b.org"),
    ],
)
def test_one_text_in_both_forms(told: Sighting, text: str) -> None:
    assert says(told, text)


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (on_x("Rain today"), "Rain today!"),
        (on_x("new york"), "newyork"),
        (on_x("See https://t.co/a", a="https://example.org/x"), "See https://example.org/y"),
        (on_x("See https://t.co/a", a="http://example.org"), "See https://example.org"),
        (on_x("See https://t.co/a", a="https://example.org"), "See https://exampleXorg"),
        (on_x("Rain (.*)"), "Rain all day"),
    ],
)
def test_two_texts(told: Sighting, text: str) -> None:
    assert not says(told, text)


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn"]), max_size=200))
def test_whatever_the_sandbox_shows_is_recognised(text: str) -> None:
    told = shown(stored(text), int(OURS))
    links = {url["url"]: url["expanded_url"] for url in told.entities.get("urls", [])}
    assert says(Sighting(OURS, told.text, links), text)


def wanted(**given: object) -> Wanted:
    return Wanted(**{"text": "Rain", "since": NOON, "until": NOON + timedelta(minutes=5), **given})  # type: ignore[arg-type]


def at(instant: datetime, **given: object) -> Sighting:
    return Sighting(**{"x_post_id": str(int(id_before(instant)) + 1), "text": "Rain", "links": {}, **given})  # type: ignore[arg-type]


def test_only_posts_of_its_time_its_text_and_its_references_count() -> None:
    minute = timedelta(minutes=1)
    others = [
        at(NOON - minute),
        at(NOON + 6 * minute),
        at(NOON, text="Sun"),
        at(NOON, replied_to="7"),
        at(NOON, quoted="7"),
    ]
    assert look_for(wanted(), others, ()) == ("none", ())
    ours = at(NOON + minute)
    assert look_for(wanted(), [*others, ours], ()) == ("alike", (ours.x_post_id,))
    assert look_for(wanted(until=None), [at(NOON + 60 * minute)], ())[0] == "alike"
    assert look_for(wanted(), [ours], [ours.x_post_id]) == ("none", ())
    assert look_for(wanted(), [ours, at(NOON + 2 * minute)], ())[0] == "several"


def test_a_reply_to_our_own_part_is_a_mark() -> None:
    part = at(NOON, replied_to="7")
    assert look_for(wanted(replied_to="7", follows_ours=True), [part], ()) == ("marked", (part.x_post_id,))
    assert look_for(wanted(replied_to="7"), [part], ()) == ("alike", (part.x_post_id,))


@given(instant=st.datetimes(datetime(2011, 1, 1), datetime(2060, 1, 1)))  # noqa: DTZ001  # made aware below
def test_ids_carry_their_instant(instant: datetime) -> None:
    aware = instant.replace(tzinfo=UTC, microsecond=instant.microsecond // 1000 * 1000)
    after = str(int(id_before(aware)) + 1)
    assert made_at(after) == aware
    assert made_at(id_before(aware)) < aware
