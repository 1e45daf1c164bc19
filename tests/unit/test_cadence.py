"""When bots speak: in their windows by their own clocks, whatever these do, and the same each time it is asked."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.domain.cadence import at_wall, instants, is_open
from tasks.domain.personas import ActiveWindow, Cadence
from tasks.domain.recurrence import Recurrence

VIENNA = ZoneInfo("Europe/Vienna")
# Days on which the clocks are changed, by half an hour too, at midnight too, and plain ones.
DAYS = (
    ("Europe/Vienna", date(2026, 3, 29)),
    ("Europe/Vienna", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("America/Santiago", date(2026, 9, 6)),
    ("Asia/Kathmandu", date(2026, 6, 1)),
)
clock = st.times(min_value=time(0), max_value=time(23, 58)).map(lambda one: one.replace(second=0, microsecond=0))


@st.composite
def windows(draw: st.DrawFn) -> tuple[ActiveWindow, ...]:
    found = []
    for _ in range(draw(st.integers(0, 2))):
        opens, closes = sorted(draw(st.tuples(clock, clock)))
        if opens < closes:
            found.append(ActiveWindow(opens=opens, closes=closes))
    return tuple(found)


@settings(max_examples=40, deadline=None)
@given(
    where=st.sampled_from(DAYS),
    open_at=windows(),
    posts=st.integers(1, 12),
    gap=st.integers(1, 200),
    taken=st.lists(st.integers(0, 1439), max_size=4),
    slots=st.lists(clock, max_size=4),
)
def test_every_turn_lies_in_a_window_of_its_day_and_away_from_all_others(
    where: tuple[str, date],
    open_at: tuple[ActiveWindow, ...],
    posts: int,
    gap: int,
    taken: list[int],
    slots: list[time],
) -> None:
    zone, day = ZoneInfo(where[0]), where[1]
    midnight = datetime.combine(day, time(), zone).astimezone(UTC)
    busy = [midnight + timedelta(minutes=one) for one in taken]
    cadence = Cadence(posts_per_day=posts, gap_minutes=gap, slots=tuple(slots), spread_minutes=20)
    found = instants(cadence, open_at, zone, day, {}, busy, "bot")
    assert found == instants(cadence, open_at, zone, day, {}, busy, "bot")
    assert len(found) <= posts
    turns = [instant for _, instant in found]
    for instant in turns:
        assert is_open(open_at, zone, instant)
        assert slots or instant.astimezone(zone).date() == day
        assert all(abs(instant - other) >= timedelta(minutes=gap) for other in busy)
    assert all(later - earlier >= timedelta(minutes=gap) for earlier, later in pairwise(sorted(turns)))


def test_a_time_that_the_clocks_leave_out_is_later_and_one_that_comes_twice_is_the_first() -> None:
    assert at_wall(date(2026, 3, 29), time(2, 30), VIENNA).astimezone(VIENNA).time() == time(3, 30)
    assert at_wall(date(2026, 10, 25), time(2, 30), VIENNA) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    # A time of the day stays one, on both sides of the change.
    for day in (date(2026, 10, 24), date(2026, 10, 26)):
        assert at_wall(day, time(9), VIENNA).astimezone(VIENNA).time() == time(9)


def test_better_hours_get_more_of_the_turns() -> None:
    open_at = (ActiveWindow(opens="08:00", closes="12:00"),)
    lifts = {(weekday, 10): 4.0 for weekday in range(7)}
    cadence = Cadence(posts_per_day=2, gap_minutes=10)
    hours = [
        instant.astimezone(VIENNA).hour
        for number in range(100)
        for _, instant in instants(cadence, open_at, VIENNA, date(2026, 12, 1), lifts, (), f"bot {number}")
    ]
    assert hours.count(10) > 2 * max(hours.count(hour) for hour in (8, 9, 11))
    slotted = Cadence(posts_per_day=1, slots=("08:00", "10:00", "11:00"), spread_minutes=0)
    [(_, best)] = instants(slotted, open_at, VIENNA, date(2026, 12, 1), lifts, (), "bot")
    assert best.astimezone(VIENNA).time() == time(10)


def test_bots_with_the_same_slot_do_not_speak_at_once() -> None:
    cadence = Cadence(slots=("08:00",), spread_minutes=20)
    found = {instants(cadence, (), VIENNA, date(2026, 12, 1), {}, (), f"bot {number}")[0][1] for number in range(100)}
    assert len(found) > 90
    assert max(found) - min(found) > timedelta(minutes=15)


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("FREQ=WEEKLY;BYDAY=MO,TH", [3, 7, 14, 17, 21, 24, 28, 31]),
        ("FREQ=WEEKLY;BYDAY=MO,TH;COUNT=4", [3, 7, 14]),
        ("FREQ=DAILY;INTERVAL=7;UNTIL=20261216", [1, 8, 15]),
        ("RRULE:FREQ=MONTHLY;BYDAY=-1FR", [25]),
        ("FREQ=DAILY;INTERVAL=2;BYDAY=TU,SU;BYMONTHDAY=1,13,-3", [1, 13, 29]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", []),
    ],
)
def test_what_comes_again_ends_is_counted_and_can_be_left_out_once(rule: str, days: list[int]) -> None:
    found = Recurrence(rule=rule, starts_on=date(2026, 12, 1), at="09:00", skip=(date(2026, 12, 10),))
    assert [day.day for day in found.days(date(2026, 12, 1), date(2026, 12, 31))] == days


@pytest.mark.parametrize(
    "rule",
    ["", "FREQ=SECONDLY", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;BYHOUR=3", "FREQ=DAILY;UNTIL=20261399", "x" * 99]
    + ["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31", "FREQ=DAILY;BYDAY=1MO", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=9"],
)
def test_a_rule_that_cannot_be_followed_is_refused(rule: str) -> None:
    with pytest.raises(ValidationError, match="write it like FREQ=WEEKLY"):
        Recurrence(rule=rule, starts_on=date(2026, 12, 1), at="09:00")
