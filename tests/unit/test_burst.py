"""What rises: the rules one by one, and all of them on two weeks that were made up."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from tasks.domain.burst import Listing, Place, Signal, floored, is_new, is_rising, score, signals
from tests.trend_replay import Ours, a_world, obvious, replay

QUARTER = timedelta(minutes=15)
NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
LIST = 20


def listings(days: int, volume: int | None = 1000, more: dict[int, dict[int, Place]] | None = None) -> list[Listing]:
    """Lists of LIST names that stay as they are, one each quarter of an hour; `more` by steps before now."""
    found = []
    for back in range(days * 96, -1, -1):
        places = {name: Place(name + 1, volume and volume * (LIST - name)) for name in range(LIST)}
        found.append(Listing(NOW - back * QUARTER, {**places, **(more or {}).get(back, {})}))
    return found


def test_what_comes_every_day_at_this_hour_is_no_news_and_what_does_not_is() -> None:
    every_morning = {day * 96 + step: {3: Place(1, 90_000)} for day in range(11) for step in range(8)}
    assert abs(signals(listings(10, more=every_morning))[3].strength) < 1
    today = {step: {3: Place(1, 90_000)} for step in range(8)}
    found = signals(listings(10, more=today))[3]
    assert (found.way, found.days) == ("same hour", 10)
    assert found.strength > 3.5 and found.now == pytest.approx(90_000, rel=0.01)


def test_a_list_without_volumes_or_of_less_than_a_week_is_judged_by_places() -> None:
    new = {step: {99: Place(1, None)} for step in range(4)}
    for found in (listings(10, None, new), listings(2, 1000, new)):
        signal = signals(found)[99]
        assert (signal.way, signal.now, signal.usual) == ("place", 1, 0)
        assert signal.strength > 3


def test_a_name_that_showed_up_once_is_nothing_yet() -> None:
    assert 99 not in signals(listings(2, None, {0: {99: Place(1, None)}}))


def test_on_a_list_that_is_new_each_time_a_new_name_says_nothing() -> None:
    found = [
        Listing(NOW - back * QUARTER, {(1000 - back) // 5 * 100 + rank: Place(rank, None) for rank in range(1, 21)})
        for back in range(100, -1, -1)
    ]
    assert all(abs(one.strength) < 1.5 for one in signals(found).values())


def test_nothing_is_known_of_a_source_that_was_read_a_few_times() -> None:
    assert signals([]) == {} and signals(listings(0)) == {}
    assert signals(listings(1)[-7:]) == {}


def test_a_score_is_the_sum_of_its_parts_which_say_why() -> None:
    by_source = {"news": Signal("same hour", 5.2, 12_000, 1500, 9), "talk": Signal("place", 2.5, 3, 17.2)}
    total, parts = score(by_source, new=True)
    assert total == sum(part.points for part in parts) == 7.2
    assert [part.name for part in parts] == ["burst", "spread", "novelty"]
    assert parts[0].said == "5.2 standard deviations above its last 9 days at this hour: 12,000 against 1,500"
    assert parts[1].said == "rises on 2 sources: news, talk"
    assert score({"talk": Signal("place", -1, 9, 3)}, new=True) == (0, [])
    assert score({"talk": Signal("place", 1.5, 9, 12)}, new=False)[0] == 1.5


def test_nothing_is_new_on_sources_that_are_new_themselves() -> None:
    hour = timedelta(hours=1)
    assert is_new(NOW - 3 * hour, NOW - 72 * hour, NOW)
    assert not is_new(NOW - 3 * hour, NOW - 30 * hour, NOW)
    assert not is_new(NOW - 30 * hour, NOW - 72 * hour, NOW)


def test_what_was_told_stays_until_it_has_clearly_fallen() -> None:
    assert [is_rising(total, was) for total, was in ((4.4, False), (4.5, False), (3, True), (2.4, True))] == [
        False,
        True,
        True,
        False,
    ]


def test_an_instant_of_a_schedule() -> None:
    assert floored(NOW + timedelta(minutes=14), QUARTER) == NOW


def test_on_planted_bursts_ours_is_better_than_the_obvious_rule_in_every_way() -> None:
    world = a_world(Random(20), 11)  # noqa: S311 - it plays a world, and must play it the same way again
    ours, theirs = replay(world, Ours(), every=4), replay(world, obvious, every=4)
    assert ours.f1 > 2 * theirs.f1
    assert ours.precision > 0.5 > theirs.precision
    assert ours.false_a_day < theirs.false_a_day / 4
