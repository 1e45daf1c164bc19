"""A source of trends: where it is asked, and what its page says.

A source fetches nothing. `parse` is a function of the bytes alone: it never raises, in bounded time and memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

Verdict = Literal["ok", "empty", "changed", "blocked"]
Kind = Literal["tag", "query", "story", "article", "topic"]
Bound = Literal["exact", "at_least", "at_most"]
SourceClass = Literal["rss", "api", "html", "x"]


@dataclass(frozen=True)
class Observation:
    """One trend as one page showed it.

    `name` is what the source wrote, in one line. `rank` begins at 1 and has no gaps. `volume` counts `unit` (such as
    "points", or "uses since midnight UTC") and is None where the source tells no number; `bound` says whether the
    number is one, or only the edge of a range ("20K+", "Under 10K"). `headline` is a title of the news behind it.
    """

    name: str
    rank: int
    kind: Kind
    volume: int | None = None
    unit: str | None = None
    bound: Bound = "exact"
    url: str | None = None
    promoted: bool = False
    language: str | None = None
    headline: str | None = None
    published_at: datetime | None = None


@dataclass(frozen=True)
class Reading:
    """What a page said.

    `ok` has rows, and most that stood there. `empty` is the expected page with nothing on it. `changed` is another
    page than expected, or one of which too little could be read; its rows, if any, are to look at, not to count.
    `blocked` is a refusal dressed as a page. `reason` is a sentence for people.
    """

    verdict: Verdict
    reason: str
    observations: tuple[Observation, ...] = ()


@dataclass(frozen=True)
class Address:
    """One GET request; `is_api` for a documented API, which is asked without its host's robots.txt."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    is_api: bool = False


@dataclass(frozen=True)
class TrendSource:
    """One page that is read again and again.

    `place` is what tells pages of the same name apart: a country, an instance, a language, a feed's address.
    `addresses` are tried in turn until one gives rows; class `x` has none: X is asked by its own client, for the WOEID
    in `place`. What was published more than `fresh_hours` before it was seen is no trend.
    """

    name: str
    place: str
    source_class: SourceClass
    parse: Callable[[bytes], Reading]
    addresses: Callable[[datetime], Sequence[Address]] = lambda _: ()
    every_minutes: int = 15
    fresh_hours: int | None = None

    @property
    def key(self) -> str:
        """Its name for people and in keys."""
        return f"{self.name}:{self.place}"

    def read(self, page: bytes, observed_at: datetime) -> Reading:
        """What the page said, without what is too old; raises nothing."""
        reading = self.parse(page)
        if self.fresh_hours is None or reading.verdict != "ok":
            return reading
        since = observed_at - timedelta(hours=self.fresh_hours)
        fresh = [each for each in reading.observations if each.published_at is None or each.published_at >= since]
        if not fresh:
            return Reading("empty", f"nothing of the last {self.fresh_hours} hours")
        ranked = tuple(replace(each, rank=rank) for rank, each in enumerate(fresh, 1))
        left_out = len(reading.observations) - len(fresh)
        older = f", {left_out} older than {self.fresh_hours} hours" if left_out else ""
        return Reading("ok", reading.reason + older, ranked)
