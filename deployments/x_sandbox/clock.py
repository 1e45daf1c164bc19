"""The sandbox's time and the ids that X makes from it."""

import time
from datetime import UTC, datetime

X_EPOCH_MS = 1_288_834_974_657
SEQUENCE_BITS = 12
ID_SHIFT = 22


class Clock:
    """The sandbox's own time: it may be elsewhere than the wall clock and run faster or slower, or stand still."""

    def __init__(self) -> None:
        self.speed = 1.0
        self._ahead = self._wall_at = 0.0

    def now(self) -> float:
        """Seconds since 1970 as the sandbox sees them."""
        return self.at(time.time())

    def at(self, wall: float) -> float:
        """The sandbox's time when the wall clock shows this; the clock must not have been set in between."""
        return wall + self._ahead + (wall - self._wall_at) * (self.speed - 1)

    def set(self, wall: float, now: float, speed: float) -> None:
        """From when the wall clock shows `wall` on, it is `now` here and time runs so many times as fast."""
        self._wall_at, self._ahead, self.speed = wall, now - wall, speed


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
