"""Windows and money: X's limits as we count them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config import loading, yaml_file
from tasks.domain.budget import KINDS, Prices, cost_usd, kind_of_post
from tasks.domain.limits import (
    PROBE_PAUSE_MOST,
    THROTTLE_PAUSE_MOST,
    Limit,
    Limits,
    bucket,
    counted_span,
    day_of,
    probe_pause,
    throttle_pause,
)

LATE = timedelta(seconds=35)


def limits() -> Limits:
    return Limits.model_validate(yaml_file.read(loading.APP_ROOT / "config" / "limits.yaml").data)


def prices() -> Prices:
    return Prices.model_validate(yaml_file.read(loading.APP_ROOT / "config" / "prices.yaml").data)


@pytest.mark.promise("P5")
@given(
    most=st.integers(1, 4),
    seconds=st.sampled_from([5.0, 900.0, 86_400.0]),
    steps=st.lists(st.tuples(st.floats(0, 0.6), st.floats(0, 1)), min_size=1, max_size=60),
)
def test_what_is_marked_within_the_limit_reaches_x_within_it_however_its_windows_lie(
    most: int, seconds: float, steps: list[tuple[float, float]]
) -> None:
    """Marks as the database gives them out; each request reaches X at any instant up to `LATE` after its mark."""
    limit = Limit(per="app", most=most, seconds=seconds)
    span, size = counted_span(limit, LATE).total_seconds(), bucket(limit).total_seconds()
    now, buckets, arrivals = 0.0, [], []
    for pause, delay in steps:
        now += pause * seconds
        if sum(1 for begins in buckets if begins > now - span) < most:
            buckets.append(now // size * size)
            arrivals.append(now + delay * LATE.total_seconds())
    for opens in arrivals:
        assert sum(1 for arrival in arrivals if opens <= arrival < opens + seconds) <= most


@given(
    zone=st.sampled_from(sorted(available_timezones())),
    now=st.integers(1_577_836_800, 2_051_222_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
def test_every_instant_lies_in_its_day_and_days_follow_one_another(zone: str, now: datetime) -> None:
    start, end = day_of(now, ZoneInfo(zone))
    assert start <= now < end
    assert day_of(end, ZoneInfo(zone))[0] == end
    assert timedelta(hours=22) <= end - start <= timedelta(hours=26)


def test_a_day_in_which_clocks_change_has_23_hours() -> None:
    start, end = day_of(datetime(2026, 3, 29, 12, tzinfo=UTC), ZoneInfo("Europe/Vienna"))
    assert end - start == timedelta(hours=23)


def test_every_endpoint_that_costs_money_has_a_price_and_a_limit() -> None:
    assert set(KINDS.values()) <= set(prices().usd)
    assert set(KINDS) | {"POST /2/tweets"} == set(limits().endpoints)


def test_a_link_makes_a_post_thirteen_times_dearer() -> None:
    plain, linked = cost_usd("Sunny.", prices()), cost_usd("Sunny, see https://example.org", prices())
    assert (plain, linked) == (Decimal("0.015"), Decimal("0.20"))
    assert int(linked / plain) == 13
    assert kind_of_post("see example.org/today") == "post_with_url"
    assert kind_of_post("at 09.30 tomorrow") == "post"


def test_a_price_list_with_a_hole_is_refused() -> None:
    whole = prices().model_dump()
    del whole["usd"]["delete"]
    with pytest.raises(ValidationError, match="there is no price of delete"):
        Prices.model_validate(whole)


@pytest.mark.parametrize(
    ("per", "seconds", "words"),
    [
        ("user", 900, "X takes 7 of a bot in 15 minutes"),
        ("app", 86_400, "X takes 7 of an app in 24 hours"),
        ("app_only", 3, "X takes 7 of an app for itself in 3 s"),
    ],
)
def test_a_limit_is_said_in_words(per: str, seconds: int, words: str) -> None:
    assert Limit.model_validate({"per": per, "most": 7, "seconds": seconds}).words == words


@given(first=st.floats(0.1, 60), chances=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_bot_that_x_throttles_asks_ever_more_rarely_and_never_less_than_each_quarter_of_an_hour(
    first: float, chances: list[float]
) -> None:
    refused_for = before = timedelta()
    for chance in chances:
        pause = throttle_pause(refused_for, timedelta(seconds=first), chance)
        assert timedelta(seconds=first) <= pause <= 1.25 * THROTTLE_PAUSE_MOST
        assert pause >= min(before / 1.25, THROTTLE_PAUSE_MOST)
        refused_for, before = refused_for + pause, pause


@given(first=st.floats(0.1, 3600), chance=st.floats(0, 1), probes=st.integers(1, 10_000))
def test_a_probe_waits_twice_as_long_after_each_no_up_to_an_hour(first: float, chance: float, probes: int) -> None:
    wait, after = (probe_pause(timedelta(seconds=first), number, chance) for number in (probes, probes + 1))
    most = 1.25 * PROBE_PAUSE_MOST
    assert timedelta(seconds=first) <= wait <= after <= most
    assert after >= min(1.99 * wait, PROBE_PAUSE_MOST)
