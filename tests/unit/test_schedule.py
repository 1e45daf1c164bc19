"""What people write for a time, and the instant that is meant."""

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.schedule import When, WhenError, duration, instant, needs_zone, planned

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
VIENNA = ZoneInfo("Europe/Vienna")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("now", "2026-11-23T12:00Z"),
        (" NOW ", "2026-11-23T12:00Z"),
        ("+10m", "2026-11-23T12:10Z"),
        ("+ 90s", "2026-11-23T12:01:30Z"),
        ("+2d", "2026-11-25T12:00Z"),
        ("2026-12-01T09:00+01:00", "2026-12-01T08:00Z"),
        ("2026-12-01T09:00Z", "2026-12-01T09:00Z"),
        ("2026-12-01 09:00", "2026-12-01T08:00Z"),
        ("2026-07-01T09:00:30", "2026-07-01T07:00:30Z"),
    ],
)
def test_each_form_names_an_instant(written: str, meant: str) -> None:
    assert instant(written, NOW, VIENNA) == When(datetime.fromisoformat(meant))


@pytest.mark.parametrize("written", ["", "soon", "-10m", "+10", "+10w", "2026-12-01", "2026-13-01 09:00", "09:00"])
def test_anything_else_says_what_to_write(written: str) -> None:
    with pytest.raises(WhenError, match="write 2026-12-01 09:00"):
        instant(written, NOW, VIENNA)


def test_a_time_of_day_needs_a_zone() -> None:
    with pytest.raises(WhenError, match="has no time zone; write one behind it, such as 2026-12-01 09:00"):
        instant("2026-12-01 09:00", NOW, None)


def test_the_hour_that_spring_skips_does_not_exist() -> None:
    with pytest.raises(WhenError, match=r"write 2026-03-29 01:30 or 2026-03-29 03:30$"):
        instant("2026-03-29 02:30", NOW, VIENNA)


def test_the_hour_that_autumn_repeats_is_the_first_and_is_said() -> None:
    when = instant("2026-10-25 02:30", NOW, VIENNA)
    assert when.at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert when.note is not None
    assert when.note.endswith("for the second write 2026-10-25T02:30+01:00")
    assert instant("2026-10-25T02:30+01:00", NOW, VIENNA).at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@given(
    st.integers(1_577_836_800, 2_208_988_800),
    st.sampled_from(["Europe/Vienna", "Asia/Tokyo", "America/Chicago", "Australia/Lord_Howe", "Africa/Casablanca"]),
)
def test_a_wall_time_is_kept_or_refused_and_never_moved(seconds: int, zone: str) -> None:
    written = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    assert needs_zone(written)
    try:
        when = instant(written, NOW, ZoneInfo(zone))
    except WhenError:
        return
    assert when.at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S") == written


@pytest.mark.parametrize(("written", "seconds"), [("90s", 90), ("10m", 600), (" 2H ", 7200), ("1d", 86_400)])
def test_a_length_of_time(written: str, seconds: int) -> None:
    assert duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["", "10", "+10m", "m", "1w", "ten minutes"])
def test_no_length_of_time(written: str) -> None:
    with pytest.raises(WhenError, match="write 90s, 10m, 2h or 1d"):
        duration(written)


@given(st.integers(0, 86_400), st.one_of(st.none(), st.integers(1, 86_400)), st.integers(0, 2**128 - 1))
def test_a_spread_post_is_planned_within_its_tolerance_and_its_life(spread: int, life: int | None, number: int) -> None:
    expires_at = None if life is None else NOW + timedelta(seconds=life)
    found = planned(NOW, spread, expires_at, UUID(int=number))
    assert NOW <= found <= NOW + timedelta(seconds=spread)
    assert expires_at is None or found < expires_at
    assert planned(NOW, spread, expires_at, UUID(int=number)) == found


def test_posts_due_at_once_are_spread_evenly() -> None:
    minutes = [int((planned(NOW, 600, None, UUID(int=n)) - NOW).total_seconds() // 60) for n in range(10_000)]
    assert {minute: abs(minutes.count(minute) - 1000) < 150 for minute in range(10)} == dict.fromkeys(range(10), True)
