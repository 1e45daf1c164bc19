"""Rate limits as X tells them in the headers of an answer.

Source: https://docs.x.com/x-api/fundamentals/rate-limits. They may lower what we allow ourselves, never raise it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Window:
    """One rate limit as X's headers tell it; None where the header is absent or no number."""

    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The headers x-rate-limit-*, x-app-limit-24hour-* and x-user-limit-24hour-* of one answer."""

    rate: Window | None = None
    app_24hour: Window | None = None
    user_24hour: Window | None = None

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> "Limits":
        """Read the limits out of an answer's headers."""
        told = {name: value for key, value in headers if (name := key.lower()).startswith(b"x-")}
        return cls(
            _window(told, b"x-rate-limit-"),
            _window(told, b"x-app-limit-24hour-"),
            _window(told, b"x-user-limit-24hour-"),
        )

    def told(self) -> list[Window]:
        """The windows that X spoke of."""
        return [window for window in (self.rate, self.app_24hour, self.user_24hour) if window is not None]


def _window(told: dict[bytes, bytes], prefix: bytes) -> Window | None:
    limit, remaining, reset = (_number(told.get(prefix + word)) for word in (b"limit", b"remaining", b"reset"))
    if limit is None and remaining is None and reset is None:
        return None
    return Window(limit, remaining, _instant(reset))


def _number(value: bytes | None) -> int | None:
    # A length is set because a number of thousands of digits would take seconds to read.
    return int(value) if value is not None and value.isdigit() and len(value) <= 18 else None


def _instant(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
