"""X's rate limits: fixed windows that open with their first request."""

from collections.abc import Iterator
from dataclasses import dataclass

from deployments.x_sandbox.answers import Headers
from deployments.x_sandbox.settings import Limit

QUARTER_HOUR_SECONDS = 15 * 60
DAY_SECONDS = 24 * 60 * 60


@dataclass(slots=True)
class Window:
    """Requests since a window opened."""

    opened_at: float
    used: int = 0


class Limits:
    """Counts requests by endpoint, account and app."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str, str], Window] = {}

    def count(
        self, endpoint: str, limit: Limit, account_id: str | None, client_id: str, now: float
    ) -> tuple[bool, Headers]:
        """Whether the request is within every limit, and the headers that say so; a refused one costs nothing."""
        windows = list(self._open(endpoint, limit, account_id, client_id, now))
        allowed = all(window.used < most for _, most, window, _ in windows)
        headers: Headers = []
        for prefix, most, window, seconds in windows:
            if allowed:
                window.used += 1
            headers.append((prefix + b"-limit", b"%d" % most))
            headers.append((prefix + b"-remaining", b"%d" % max(0, most - window.used)))
            headers.append((prefix + b"-reset", b"%d" % (window.opened_at + seconds)))
        return allowed, headers

    def _open(
        self, endpoint: str, limit: Limit, account_id: str | None, client_id: str, now: float
    ) -> Iterator[tuple[bytes, int, Window, int]]:
        per_app = (b"x-rate-limit", limit.app_15_minutes, client_id, QUARTER_HOUR_SECONDS)
        user = f"{account_id} {client_id}"
        per_user = (
            (b"x-rate-limit", limit.user_15_minutes, user, QUARTER_HOUR_SECONDS),
            (b"x-user-limit-24hour", limit.user_24_hours, user, DAY_SECONDS),
            (b"x-app-limit-24hour", limit.app_24_hours, client_id, DAY_SECONDS),
        )
        for prefix, most, who, seconds in (per_app,) if account_id is None else per_user:
            if most is not None:
                key = (endpoint, prefix.decode(), who)
                window = self._windows.get(key)
                if window is None or now >= window.opened_at + seconds:
                    window = self._windows[key] = Window(now)
                yield prefix, most, window, seconds
