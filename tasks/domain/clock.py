"""The database's clock, as a process reads it between two looks."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Reading:
    """At `ticks` (seconds of a local clock that never stops) app_now() said `instant`, running at `rate`."""

    instant: datetime
    ticks: float
    rate: float = 1.0

    def ticks_at(self, instant: datetime) -> float:
        """When the local clock will show `instant`."""
        return self.ticks + (instant - self.instant).total_seconds() / self.rate

    def instant_at(self, ticks: float) -> datetime:
        """What app_now() says when the local clock shows `ticks`."""
        return self.instant + timedelta(seconds=(ticks - self.ticks) * self.rate)
