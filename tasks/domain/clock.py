"""The database's clock, as a process reads it between two looks."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Reading:
    """app_now() said `instant` at some moment from `asked` to `answered` (seconds of a local clock that never stops).

    Which moment is not known, so each question is answered from the side that does no harm: a post goes a moment
    late and never early, and its lateness is overstated and never understated.
    """

    instant: datetime
    asked: float
    answered: float
    rate: float = 1.0

    def ticks_at(self, instant: datetime) -> float:
        """When the local clock will show `instant`, at the latest."""
        return self.answered + (instant - self.instant).total_seconds() / self.rate

    def instant_at(self, ticks: float) -> datetime:
        """What app_now() says when the local clock shows `ticks`, at the latest."""
        return self.instant + timedelta(seconds=(ticks - self.asked) * self.rate)
