"""The sandbox's time and the ids that X makes from it."""

import time
from datetime import UTC, datetime

X_EPOCH_MS = 1_288_834_974_657
SEQUENCE_BITS = 12
ID_SHIFT = 22


class Clock:
    """Wall time plus an offset, so that a test can play hours."""

    def __init__(self) -> None:
        self.offset_seconds = 0.0

    def now(self) -> float:
        """Seconds since 1970 as the sandbox sees them."""
        return time.time() + self.offset_seconds


class Snowflakes:
    """Ids that carry their millisecond and only ever grow, also when the clock steps back."""

    def __init__(self) -> None:
        self._last = 0

    def make(self, now: float) -> int:
        """The next id for this instant."""
        self._last = max(self._last + 1, first_id(now))
        return self._last

    def seen(self, snowflake: int) -> None:
        """Never make this id, nor one below it, again."""
        self._last = max(self._last, snowflake)


def first_id(instant: float) -> int:
    """The lowest id of an instant's millisecond; X compares times by it."""
    return max(0, int(instant * 1000) - X_EPOCH_MS) << ID_SHIFT


def made_at(snowflake: int) -> float:
    """The instant that an id carries, to the millisecond."""
    return ((snowflake >> ID_SHIFT) + X_EPOCH_MS) / 1000


def iso(instant: float) -> str:
    """An instant as the ledger writes it: UTC, microseconds."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="microseconds")


def x_time(instant: float) -> str:
    """An instant as X writes it: whole seconds with a dead fraction."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def from_iso(text: str) -> float:
    """Seconds since 1970; an instant without a zone is taken as UTC. Raises ValueError."""
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
