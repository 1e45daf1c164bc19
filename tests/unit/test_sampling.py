"""When posts are read: a schedule that follows from the post alone, and never costs more than it may."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.sampling import (
    EPOCH,
    Ladder,
    Level,
    account_state,
    affordable,
    allowance_usd,
    batches,
    days_left,
    fate,
    floor,
    is_sure,
    next_utc_day,
    unpaid_days,
    utc_day,
    wants_private,
)
from tests.makers import NOON

QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
LADDER = Ladder((Level(6 * HOUR, QUARTER), Level(2 * DAY, HOUR), Level(7 * DAY, DAY)))

instants = st.timedeltas(timedelta(), timedelta(days=365)).map(lambda time: datetime(2026, 1, 1, tzinfo=UTC) + time)
ages = st.timedeltas(timedelta(), timedelta(days=9))


@given(instants, ages)
def test_the_latest_instant_is_scheduled_past_and_the_last_one(published_at: datetime, age: timedelta) -> None:
    now = published_at + age
    latest = LADDER.latest(published_at, now)
    if latest is None:
        assert LADDER.following(published_at, published_at) > now  # type: ignore[operator]  # a first one there is
        return
    assert published_at < latest <= now
    assert latest in set(LADDER.between(published_at, published_at, now))
    following = LADDER.following(published_at, latest)
    assert following is None or following > now


@given(instants, ages, ages)
def test_whoever_asks_twice_before_the_next_instant_hears_of_the_same(
    published_at: datetime, age: timedelta, more: timedelta
) -> None:
    now = published_at + age
    following = LADDER.following(published_at, now)
    if following is not None and now + more < following:
        assert LADDER.latest(published_at, now + more) == LADDER.latest(published_at, now)
    if following is not None and now + more >= following:
        assert LADDER.latest(published_at, now + more) >= following  # type: ignore[operator]


@given(instants)
def test_a_post_is_read_densely_then_hourly_then_daily_then_no_more(published_at: datetime) -> None:
    every = list(LADDER.between(published_at, published_at, published_at + 30 * DAY))
    assert every == sorted(set(every))
    ages = [instant - published_at for instant in every]
    assert max(ages) <= LADDER.until
    assert sum(age <= 6 * HOUR for age in ages) == 24
    assert sum(6 * HOUR < age <= 2 * DAY for age in ages) == 42
    assert sum(age > 2 * DAY for age in ages) == 5
    assert all((instant - EPOCH) % QUARTER == timedelta() for instant in every)


@given(instants)
def test_a_whole_life_of_readings_is_charged_for_once_a_utc_day(published_at: datetime) -> None:
    every = list(LADDER.between(published_at, published_at, published_at + 30 * DAY))
    assert unpaid_days(every, None) == len({instant.date() for instant in every}) <= 9
    assert unpaid_days(every, utc_day(every[0])) == unpaid_days(every, None) - 1


def test_levels_that_do_not_follow_one_another_are_refused() -> None:
    with pytest.raises(ValueError, match="ends later"):
        Ladder((Level(2 * DAY, HOUR), Level(2 * DAY, DAY)))


money = st.decimals(0, 1000, places=2)


@given(money, st.decimals(0, 1, places=2), st.dates(date(2026, 1, 1), date(2027, 12, 31)), money)
def test_a_month_of_allowances_never_costs_more_than_its_share(
    budget: Decimal, share: Decimal, first: date, wish: Decimal
) -> None:
    today, before = first, Decimal(0)
    while today.month == first.month:
        spent = min(wish, allowance_usd(budget, share, before, Decimal(0), today))
        assert allowance_usd(budget, share, before, spent, today) >= 0
        before, today = before + spent, today + DAY
    assert before <= budget * share + Decimal("1e-9")


@given(money, st.decimals("0.001", 1, places=3))
def test_what_is_affordable_is_paid_by_the_allowance(allowance: Decimal, price: Decimal) -> None:
    count = affordable(allowance, price)
    assert count * price <= allowance < (count + 1) * price


def test_days_of_a_month_that_are_left_count_today() -> None:
    assert days_left(date(2026, 2, 28)) == 1
    assert days_left(date(2026, 12, 1)) == 31
    assert next_utc_day(NOON) == datetime(2026, 11, 24, tzinfo=UTC)
    assert floor(NOON + timedelta(minutes=20), QUARTER) == NOON + QUARTER


@given(st.integers(0, 10_000))
def test_ids_are_asked_for_a_hundred_at_a_time(count: int) -> None:
    assert 100 * batches(count) >= count > 100 * (batches(count) - 1)


def test_private_counts_are_asked_for_as_long_as_x_gives_them() -> None:
    assert wants_private(NOON, NOON + 29 * DAY)
    assert not wants_private(NOON, NOON + 30 * DAY)


@pytest.mark.parametrize(
    ("absence", "account", "became"),
    [
        ("missing", "open", "deleted"),
        ("hidden", "open", "protected"),
        ("hidden", "protected", "protected"),
        ("missing", "protected", "deleted"),
        ("missing", "suspended", "suspended"),
        ("hidden", "suspended", "suspended"),
        ("missing", "deleted", "deleted"),
        ("hidden", "deleted", "deleted"),
    ],
)
def test_what_became_of_a_post_is_told_by_its_absence_and_its_account(absence: str, account: str, became: str) -> None:
    assert fate(absence, account) == became  # type: ignore[arg-type]


def test_an_account_is_what_its_lookup_says() -> None:
    assert account_state(False, None, False) == "open"
    assert account_state(None, None, False) == "open"
    assert account_state(True, None, False) == "protected"
    assert account_state(None, "missing", True) == "suspended"
    assert account_state(None, "missing", False) == "deleted"
    assert account_state(None, "hidden", False) == "suspended"


def test_a_post_is_gone_only_once_it_was_missed_twice_and_apart() -> None:
    assert not is_sure(NOON, NOON, timedelta(minutes=10))
    assert is_sure(NOON, NOON + timedelta(minutes=10), timedelta(minutes=10))
