"""What is kept how long, by whole months."""

from datetime import UTC, date, datetime, timedelta


def first_kept(now: datetime, kept: timedelta) -> date:
    """The first day of the oldest month (UTC) of which anything is younger than `kept`."""
    return (now.astimezone(UTC) - kept).date().replace(day=1)


def months_on(day: date, months: int) -> date:
    """The first day of the month that comes so many months after a day's."""
    whole = day.year * 12 + day.month - 1 + months
    return date(whole // 12, whole % 12 + 1, 1)
