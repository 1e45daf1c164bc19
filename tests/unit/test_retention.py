"""Months that are kept."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.retention import first_kept

days = st.dates(date(2020, 1, 1), date(2040, 1, 1))


@given(days, st.integers(0, 4000))
def test_nothing_younger_than_what_is_kept_is_dropped_and_at_most_a_month_more_is_kept(day: date, kept: int) -> None:
    now = datetime(day.year, day.month, day.day, 13, tzinfo=UTC)
    first = first_kept(now, timedelta(days=kept))
    oldest = (now - timedelta(days=kept)).date()
    assert first.day == 1
    assert first <= oldest < first + timedelta(days=31)
