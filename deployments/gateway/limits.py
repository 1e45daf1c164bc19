"""How much one client may ask for: counted in memory, because there is one gateway process; none of it is state."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from config.settings import Gateway
from deployments.gateway.first_sign_in import ADMIN, KEY_NAME
from deployments.gateway.problems import ProblemError
from tasks.domain.roles import Actor

WINDOW_SECONDS = 60
# The key that `vivesphere` on this machine uses: an import of a thousand bots is not a flood.
OWN_KEY = f"{ADMIN}/{KEY_NAME}"

Kind = Literal["reads", "changes", "own"]


@dataclass(frozen=True)
class Left:
    """What a client may still ask for, and when the oldest request no longer counts."""

    kind: Kind
    limit: int
    left: int
    reset_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers says it."""
        return {
            "RateLimit-Policy": f'"{self.kind}";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"{self.kind}";r={self.left};t={self.reset_seconds}',
        }


class Limits:
    """Moving windows of a minute, one for each client and kind; `settings` says what they are at the moment."""

    def __init__(self, settings: Callable[[], Gateway]) -> None:
        self._settings = settings
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    async def take(self, actor: Actor, *, reads: bool) -> Left | None:
        """Count a request of somebody who is signed in; None for a worker, who polls by its own clock. Raises 429."""
        if actor.may("prefect.worker") and not actor.may("prefect.admin"):
            return None
        kind: Kind = "own" if actor.name == OWN_KEY else "reads" if reads else "changes"
        return await self._take(kind, actor.name)

    async def take_sign_in(self, host: str) -> Left:
        """Count a try to sign in, by where it comes from: nobody knows yet who it is. Raises 429."""
        return await self._take("changes", f"sign-in from {host}")

    def _most(self, kind: Kind) -> RateLimitItemPerMinute:
        settings = self._settings()
        amounts: Mapping[Kind, int] = {
            "reads": settings.reads_per_minute,
            "changes": settings.changes_per_minute,
            "own": settings.own_per_minute,
        }
        return RateLimitItemPerMinute(amounts[kind])

    async def _take(self, kind: Kind, client: str) -> Left:
        most = self._most(kind)
        taken = await self._windows.hit(most, kind, client)
        stats = await self._windows.get_window_stats(most, kind, client)
        found = Left(kind, most.amount, stats.remaining, max(1, round(stats.reset_time - time.time())))
        if taken:
            return found
        headers = {**found.headers, "Retry-After": str(found.reset_seconds)}
        detail = f"more than {found.limit:,} {kind} within a minute; try again in {found.reset_seconds} s"
        raise ProblemError(429, "too-many-requests", detail, headers)
