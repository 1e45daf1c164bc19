"""When a post or an account is read, what that costs, and what a reading that fails says of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Literal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# X takes so many ids in one lookup.
IDS_MOST = 100
# X gives private counts for this long; a reading that leaves an hour before still arrives in time.
PRIVATE_AGE = timedelta(days=30) - timedelta(hours=1)

Fate = Literal["deleted", "suspended", "protected"]
AccountState = Literal["open", "deleted", "suspended", "protected"]
# What a lookup says of a thing that it does not give: it is not there, or not for the reader.
Absence = Literal["missing", "hidden"]
ABSENCES: Mapping[str, Absence] = {"resource-not-found": "missing", "not-authorized-for-resource": "hidden"}


@dataclass(frozen=True)
class Level:
    """Up to the age `until`, a reading at each whole `every` since 1970: quarters of an hour, hours, days, in UTC."""

    until: timedelta
    every: timedelta


@dataclass(frozen=True)
class Ladder:
    """Levels from dense to sparse; after the last one a post is read no more.

    The scheduled instants of a post follow from when it was published alone, whoever asks and whenever: that makes
    (post, scheduled instant) the name of a snapshot.
    """

    levels: Sequence[Level]

    def __post_init__(self) -> None:
        """Refuse levels that do not follow one another."""
        if any(young.until >= old.until for young, old in pairwise(self.levels)):
            raise ValueError("each level of sampling ends later than the one before")

    @property
    def until(self) -> timedelta:
        """The age at which reading ends."""
        return self.levels[-1].until

    def latest(self, published_at: datetime, now: datetime) -> datetime | None:
        """The last scheduled instant up to `now`; None before the first."""
        for start, level in reversed(list(self._spans())):
            instant = floor(min(now, published_at + level.until), level.every)
            if instant > published_at + start:
                return instant
        return None

    def following(self, published_at: datetime, after: datetime) -> datetime | None:
        """The first scheduled instant later than `after`; None where there is no more."""
        for start, level in self._spans():
            instant = floor(max(after, published_at + start), level.every) + level.every
            if instant <= published_at + level.until:
                return instant
        return None

    def between(self, published_at: datetime, after: datetime, until: datetime) -> Iterator[datetime]:
        """The scheduled instants later than `after`, up to `until`."""
        instant = self.following(published_at, after)
        while instant is not None and instant <= until:
            yield instant
            instant = self.following(published_at, instant)

    def _spans(self) -> Iterator[tuple[timedelta, Level]]:
        start = timedelta()
        for level in self.levels:
            yield start, level
            start = level.until


def floor(instant: datetime, every: timedelta) -> datetime:
    """The last whole `every` since 1970 up to an instant."""
    return instant - (instant - EPOCH) % every


def utc_day(instant: datetime) -> date:
    """X's day: in it a thing that an app reads again costs nothing more."""
    return instant.astimezone(UTC).date()


def next_utc_day(instant: datetime) -> datetime:
    """When X's next day begins."""
    return floor(instant, timedelta(days=1)) + timedelta(days=1)


def wants_private(published_at: datetime, now: datetime) -> bool:
    """Whether X still gives the author the private counts of a post."""
    return now - published_at < PRIVATE_AGE


def unpaid_days(instants: Sequence[datetime], paid_on: date | None) -> int:
    """How many readings of these X will charge for: one on each of its days, save a day that is paid."""
    return len({utc_day(instant) for instant in instants} - {paid_on})


def days_left(today: date) -> int:
    """Days of the month from today on, today with them."""
    next_month = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return (next_month - today).days


def allowance_usd(budget_usd: Decimal, share: Decimal, before_usd: Decimal, today_usd: Decimal, today: date) -> Decimal:
    """What readings of an app may still cost today: the share of its month, the rest of it spread over the days left.

    `before_usd` and `today_usd` are what readings have cost since the month began and since today did.
    """
    for_today = (budget_usd * share - before_usd) / days_left(today) - today_usd
    return max(Decimal(0), for_today)


def affordable(allowance: Decimal, price: Decimal) -> int:
    """How many readings at this price (above 0) an allowance pays."""
    return int(allowance // price)


def batches(count: int) -> int:
    """How many lookups so many ids take."""
    return -(-count // IDS_MOST)


def account_state(protected: bool | None, absence: Absence | None, said_suspended: bool) -> AccountState:
    """How an account stands by a lookup that gave it, or said why not."""
    if absence is None:
        return "protected" if protected else "open"
    return "suspended" if said_suspended or absence == "hidden" else "deleted"


def fate(absence: Absence, account: AccountState) -> Fate:
    """What became of a post that X no longer gives; its account's state explains more than the post's own absence."""
    if account in ("suspended", "deleted"):
        return "suspended" if account == "suspended" else "deleted"
    if absence == "missing":
        return "deleted"
    return "protected"


def is_sure(missing_since: datetime, now: datetime, wait: timedelta) -> bool:
    """A post is gone once two lookups that lie `wait` apart do not give it: X may lose sight of one for a moment."""
    return now - missing_since >= wait
