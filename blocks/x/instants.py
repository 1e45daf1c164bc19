"""Times as X takes them: whole seconds, in UTC. Widened to them, a window loses nothing."""

import math
from datetime import UTC, datetime


def second_before(start: datetime) -> str:
    """The whole second at or before the start of a window."""
    return _told(math.floor(start.timestamp()))


def second_after(end: datetime) -> str:
    """The whole second at or after the end of a window."""
    return _told(math.ceil(end.timestamp()))


def _told(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
