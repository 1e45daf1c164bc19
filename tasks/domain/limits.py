"""How many requests X takes in a window, and over which span ours have to be counted to stay within it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

Whose = Literal["user", "app", "app_only"]


class Limit(BaseModel):
    """At most `most` requests in any `seconds`, of one account, of an app over all its accounts, or of an app that
    acts for nobody."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per: Whose
    most: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(gt=0)]

    @property
    def words(self) -> str:
        """The limit as people say it."""
        whose = {"user": "of a bot", "app": "of an app", "app_only": "of an app for itself"}[self.per]
        hours, minutes = self.seconds / 3600, self.seconds / 60
        span = f"{hours:g} hours" if hours >= 1 else f"{minutes:g} minutes" if minutes >= 1 else f"{self.seconds:g} s"
        return f"X takes {self.most} {whose} in {span}"


class Limits(BaseModel):
    """X's limits by endpoint, with where and when they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    read_on: date
    endpoints: Mapping[str, Sequence[Limit]]

    def of(self, endpoint: str, per: Whose) -> Limit | None:
        """The limit of an endpoint; None where X names none. Raises KeyError for an endpoint that is not listed."""
        return next((limit for limit in self.endpoints[endpoint] if limit.per == per), None)


def bucket(limit: Limit) -> timedelta:
    """How much time is counted together: the posts of an app by the minute, everything else by the second."""
    return timedelta(minutes=1) if limit.per == "app" else timedelta(seconds=1)


def counted_span(limit: Limit, late: timedelta) -> timedelta:
    """Where at most `most` are marked within any such span, at most `most` reach X within any window of it.

    A request reaches X up to `late` after its mark, and a bucket may hold one that is as old as the bucket is long.
    """
    return timedelta(seconds=limit.seconds) + late + bucket(limit)


def day_of(now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The day of a zone that `now` is in, from midnight to midnight; it has 23 or 25 hours when clocks change."""
    day = now.astimezone(zone).date()
    midnights = (datetime.combine(on, time(), zone) for on in (day, day + timedelta(days=1)))
    start, end = (midnight.astimezone(UTC) for midnight in midnights)
    return start, end


# X's shortest windows have turned by then.
THROTTLE_PAUSE_MOST = timedelta(minutes=15)
PROBE_PAUSE_MOST = timedelta(hours=1)
# A pause is up to so much longer, so that those who wait do not all come back together.
JITTER_SHARE = 0.25


def throttle_pause(refused_for: timedelta, first: timedelta, chance: float) -> timedelta:
    """How long to wait where X says "too many" and not until when: as long again as it has said so without a break,
    `first` at least and 15 minutes at most, and by `chance` from 0 to 1 up to a quarter more."""
    return min(max(refused_for, first), THROTTLE_PAUSE_MOST) * (1 + JITTER_SHARE * chance)


def probe_pause(first: timedelta, probes: int, chance: float) -> timedelta:
    """How long to wait after the nth no to a probe: `first`, doubled each time up to an hour, and up to a quarter
    more by `chance` from 0 to 1."""
    return min(first * 2.0 ** min(probes - 1, 30), PROBE_PAUSE_MOST) * (1 + JITTER_SHARE * chance)
