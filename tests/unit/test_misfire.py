"""What becomes of posts that could not leave at their instant."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.misfire import CaughtUp, LatePost, catch_up, if_late, next_open
from tasks.domain.personas import WEEKDAYS, ActiveWindow
from tasks.domain.schedule import WhenError

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
GAP = timedelta(minutes=1)
BOT = UUID(int=1)
MORNING = ActiveWindow(opens=time(6), closes=time(9))
ZONES = ("UTC", "Europe/Vienna", "Australia/Lord_Howe", "America/St_Johns", "Asia/Tokyo")


def a_late_post(number: int = 1, late: timedelta = timedelta(minutes=5), **given: Any) -> LatePost:
    """One of BOT's, five minutes late, that may be sent within fifteen."""
    return LatePost(
        **{
            "id": UUID(int=number),
            "bot_id": BOT,
            "planned_at": NOON - late,
            "misfire": "send_if_within",
            "within": timedelta(minutes=15),
            "expires_at": None,
            "time_zone": "UTC",
            "windows": (),
            **given,
        }
    )


def caught(*posts: LatePost, taken: Mapping[UUID, list[datetime]] | None = None) -> dict[int, CaughtUp]:
    return {found.post_id.int: found for found in catch_up(posts, NOON, GAP, taken or {})}


def test_what_is_to_be_skipped_when_late_ends() -> None:
    found = caught(a_late_post(misfire="skip"))[1]
    assert (found.at, found.reason) == (None, "5 min late, and it is to be skipped then")


def test_what_may_be_late_goes_at_once_and_says_so() -> None:
    found = caught(a_late_post())[1]
    assert (found.at, found.reason) == (NOON, "5 min late: sent at the bot's next turn")


def test_what_is_too_late_ends() -> None:
    found = caught(a_late_post(late=timedelta(hours=3)))[1]
    assert (found.at, found.reason) == (None, "3 h late, and it is sent within 15 min or not at all")


def test_what_waits_for_a_window_goes_when_it_opens() -> None:
    found = caught(a_late_post(late=timedelta(hours=3), misfire="next_window", windows=(MORNING,)))[1]
    assert found.at == datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
    assert found.reason == "3 h late: moved to the bot's next window"


def test_what_expires_before_its_turn_ends() -> None:
    found = caught(a_late_post(misfire="next_window", windows=(MORNING,), expires_at=NOON + timedelta(hours=1)))[1]
    assert (found.at, found.reason) == (None, "5 min late, and it expires before its next turn")


def test_a_bot_that_just_spoke_waits_for_the_gap() -> None:
    assert caught(a_late_post(), taken={BOT: [NOON - timedelta(seconds=20)]})[1].at == NOON + timedelta(seconds=40)


def test_the_older_plan_goes_first_and_one_whose_turn_comes_too_late_ends() -> None:
    found = caught(*(a_late_post(number, late=timedelta(minutes=14, seconds=number)) for number in (1, 2, 3)))
    assert [found[number].at for number in (3, 2, 1)] == [NOON, None, None]


def test_a_turn_far_off_keeps_nobody_waiting() -> None:
    tomorrow = a_late_post(1, misfire="next_window", windows=(MORNING,))
    assert caught(tomorrow, a_late_post(2))[2].at == NOON


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(1, 20_000),
            st.sampled_from(["send_if_within", "skip", "next_window"]),
            st.one_of(st.none(), st.integers(-100, 100_000)),
        ),
        max_size=30,
    ),
    st.dictionaries(st.integers(0, 3), st.sets(st.integers(-5, 900), max_size=3), max_size=4),
)
def test_no_bot_bursts_and_nothing_goes_after_its_time(
    rows: list[tuple[int, int, str, int | None]], taken_minutes: dict[int, set[int]]
) -> None:
    posts = [
        a_late_post(
            number,
            late=timedelta(seconds=late),
            bot_id=UUID(int=bot),
            misfire=misfire,
            windows=(MORNING,) if bot else (),
            expires_at=None if expires is None else NOON + timedelta(seconds=expires),
        )
        for number, (bot, late, misfire, expires) in enumerate(rows, start=1)
    ]
    taken = {
        UUID(int=bot): [NOON + timedelta(minutes=each) for each in minutes] for bot, minutes in taken_minutes.items()
    }
    found = {one.post_id: one for one in catch_up(posts, NOON, GAP, taken)}
    assert found.keys() == {post.id for post in posts}
    turns: dict[UUID, list[datetime]] = defaultdict(list)
    for post in posts:
        if (at := found[post.id].at) is None:
            continue
        turns[post.bot_id].append(at)
        assert post.misfire != "skip"
        assert at >= NOON
        assert post.expires_at is None or at < post.expires_at
        assert post.misfire != "send_if_within" or at <= post.planned_at + post.within
        assert post.misfire != "next_window" or not post.windows or 6 <= at.hour < 9
    for bot, given_out in turns.items():
        times = sorted([*given_out, *taken.get(bot, [])])
        assert all(later - earlier >= GAP for earlier, later in zip(times, times[1:], strict=False))


@given(
    st.integers(1_577_836_800, 2_208_988_800),
    st.sampled_from(ZONES),
    st.lists(
        st.tuples(st.sets(st.sampled_from(WEEKDAYS), min_size=1), st.integers(0, 22), st.integers(1, 59)),
        min_size=1,
        max_size=3,
    ),
)
def test_the_next_window_is_open_and_none_opens_sooner(
    seconds: int, zone_name: str, rows: list[tuple[set[str], int, int]]
) -> None:
    zone, after = ZoneInfo(zone_name), datetime.fromtimestamp(seconds, UTC)
    windows = tuple(
        ActiveWindow(days=tuple(days), opens=time(hour), closes=time(hour + 1, minute))  # type: ignore[arg-type]
        for days, hour, minute in rows
    )
    found = next_open(windows, zone, after)
    assert found >= after
    assert open_at(windows, zone, found)
    steps = (after + timedelta(minutes=30 * step) for step in range(1, 48 * 7))
    assert not any(open_at(windows, zone, each) for each in steps if each < found)


def open_at(windows: tuple[ActiveWindow, ...], zone: ZoneInfo, instant: datetime) -> bool:
    """By the instants that the hands of a local clock name; where they skip or repeat an hour, the first reading."""
    day = instant.astimezone(zone).date()
    return any(
        datetime.combine(day, window.opens, zone).timestamp()
        <= instant.timestamp()
        < datetime.combine(day, window.closes, zone).timestamp()
        for window in windows
        if WEEKDAYS[day.weekday()] in window.days
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("skip", ("skip", None)),
        ("Next-Window", ("next_window", None)),
        ("next_window", ("next_window", None)),
        ("30m", ("send_if_within", timedelta(minutes=30))),
    ],
)
def test_people_write_a_policy_or_a_length(written: str, meant: tuple[str, timedelta | None]) -> None:
    assert if_late(written) == meant


def test_anything_else_says_what_to_write() -> None:
    with pytest.raises(WhenError, match="'never' says nothing of a post that is late; write skip, next-window"):
        if_late("never")
