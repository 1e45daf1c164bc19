"""What is kept how long, by whole months."""

from datetime import UTC, date, datetime, timedelta


def first_kept(now: datetime, kept: timedelta) -> date:
    """The first day of the oldest month (UTC) of which anything is younger than `kept`."""
    return (now.astimezone(UTC) - kept).date().replace(day=1)
