"""What rises: a name against its own past on a list, and what several lists say of it together.

Where the list gives volumes and is known for a week, a name is compared with itself at the same hour of earlier days,
so that what happens every morning is no news. Where that is not known, its place on the list now is compared with its
place on the day before, by how much names of that list move anyway: on a list that is new each hour a new name says
nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import fmean, median
from typing import Literal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Way = Literal["same hour", "place"]

# What counts as now, and what the place is compared with: so many readings of a list.
READINGS_NOW, READINGS_BEFORE = 4, 96
# On at least so many of the readings of now: what shows up once is not yet something.
SEEN_MIN = 2
# Same hour: earlier days that the list must be known of, and of those on which the name itself was on it.
DAYS_KNOWN_MIN, DAYS_SEEN_MIN = 7, 3
SAME_HOUR = timedelta(hours=1)
# How much a volume differs from day to day where little is known of it, as a natural logarithm, and what that counts
# for, in days.
USUAL_SPREAD, USUAL_DAYS = 0.5, 4
# Names of the calmest list move by so much of its length.
MOVES_LEAST = 0.12
STRENGTH_MOST = 8.0
# From this score on a trend is told as rising, and until it falls below the second it stays so.
RISING, FALLEN = 4.5, 2.5
# A source agrees from this strength on; twice as many sources that agree are worth a point.
AGREES = 2.0
# A name is new that was first seen within this time, on sources that are known for twice as long; worth a point.
NEW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name stood on a list; the volume is null where the list gives none."""

    rank: int
    volume: int | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A list as it was read at an instant, by name."""

    at: datetime
    places: Mapping[int, Place]


@dataclass(frozen=True, slots=True)
class Signal:
    """How much a name rises on one list: `strength` in standard deviations, now and usual in the words of its way.

    Same hour: volumes, over `days` earlier days. Place: ranks; 0 is: not on the list.
    """

    way: Way
    strength: float
    now: float
    usual: float
    days: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What adds to a score: its name, its points, and why in words."""

    name: str
    points: float
    said: str


def floored(at: datetime, every: timedelta) -> datetime:
    """The last instant of a schedule that has one so often since 1970."""
    since = (at - EPOCH) % every
    return at - since


def signals(listings: Sequence[Listing]) -> dict[int, Signal]:
    """How much each name rises that stands on the newest of these listings of one source, the oldest first."""
    if not listings:
        return {}
    newest, recent = listings[-1], listings[-READINGS_NOW:]
    steady = [name for name in newest.places if sum(name in one.places for one in recent) >= min(SEEN_MIN, len(recent))]
    days = _same_hours(listings[:-READINGS_NOW], newest.at)
    moves = _moves(newest, recent, listings[-READINGS_NOW - READINGS_BEFORE : -READINGS_NOW])
    found = {}
    for name in steady:
        signal = _by_volume(name, recent, days) if len(days) >= DAYS_KNOWN_MIN else None
        signal = signal or _by_place(name, newest, moves)
        if signal:
            found[name] = signal
    return found


def _same_hours(before: Sequence[Listing], now: datetime) -> list[list[Listing]]:
    """Listings at this hour of earlier days, day by day."""
    days: dict[int, list[Listing]] = {}
    for one in before:
        day, rest = divmod(now - one.at, timedelta(days=1))
        if day and rest < SAME_HOUR:
            days.setdefault(day, []).append(one)
    return list(days.values())


def _by_volume(name: int, recent: Sequence[Listing], days: Sequence[Sequence[Listing]]) -> Signal | None:
    now = _level(name, recent)
    levels = [(_level(name, day), day) for day in days]
    if now is None or sum(level is not None for level, _ in levels) < DAYS_SEEN_MIN:
        return None
    # On a day on which it was not on the list it had less than the last one that was.
    known = [found for level, day in levels if (found := _floor(day) if level is None else level) is not None]
    if len(known) < DAYS_KNOWN_MIN:
        return None
    usual = fmean(known)
    squares = sum((level - usual) ** 2 for level in known) + USUAL_DAYS * USUAL_SPREAD**2
    strength = (now - usual) / math.sqrt(squares / (len(known) + USUAL_DAYS))
    return Signal("same hour", strength, math.expm1(now), math.expm1(usual), len(known))


def _level(name: int, listings: Sequence[Listing]) -> float | None:
    found = [place.volume for one in listings if (place := one.places.get(name)) and place.volume is not None]
    return fmean(map(math.log1p, found)) if found else None


def _floor(listings: Sequence[Listing]) -> float | None:
    volumes = [place.volume for one in listings for place in one.places.values() if place.volume is not None]
    return math.log1p(min(volumes)) if volumes else None


@dataclass(frozen=True, slots=True)
class _Moves:
    """By how much each name of a list has risen since the day before, and by how much they do so anyway."""

    risen: Mapping[int, tuple[float, float]]
    usual: float


def _moves(newest: Listing, recent: Sequence[Listing], before: Sequence[Listing]) -> _Moves | None:
    if len(before) < READINGS_NOW:
        return None
    risen = {name: (_height(name, recent), _height(name, before)) for name in newest.places}
    typical = median(abs(now - then) for now, then in risen.values()) * 1.4826 if risen else 0
    return _Moves(risen, math.hypot(typical, MOVES_LEAST))


def _height(name: int, listings: Sequence[Listing]) -> float:
    """Where a name stood on average: 1 at the top of the list, 0 below its end."""
    total = 0.0
    for one in listings:
        place = one.places.get(name)
        if place:
            total += max(0.0, 1 - (place.rank - 1) / max(len(one.places), 1))
    return total / len(listings)


def _by_place(name: int, newest: Listing, moves: _Moves | None) -> Signal | None:
    if moves is None:
        return None
    now, then = moves.risen[name]
    size = len(newest.places)
    usual = 0.0 if then == 0 else 1 + (1 - then) * size
    return Signal("place", (now - then) / moves.usual, newest.places[name].rank, usual)


def is_new(first_seen_at: datetime, known_since: datetime, now: datetime) -> bool:
    """Whether a name is new; nothing is where the sources themselves are."""
    return now - first_seen_at < NEW and now - known_since >= 2 * NEW


def score(by_source: Mapping[str, Signal], new: bool) -> tuple[float, list[Part]]:
    """What a trend amounts to: how much it rises where it rises most, how many sources agree, and whether it is new.

    `by_source` has one signal for each kind of source: two instances of one network are one. What rises nowhere is 0.
    """
    strongest = max(by_source.values(), key=lambda one: one.strength, default=None)
    if strongest is None or strongest.strength <= 0:
        return 0.0, []
    parts = [Part("burst", round(min(strongest.strength, STRENGTH_MOST), 2), _said(strongest))]
    agreeing = sorted(name for name, one in by_source.items() if one.strength >= AGREES)
    if len(agreeing) > 1:
        points = round(math.log2(len(agreeing)), 2)
        parts.append(Part("spread", points, f"rises on {len(agreeing)} sources: {', '.join(agreeing)}"))
    if new:
        parts.append(Part("novelty", 1.0, "not seen before the last day"))
    return round(sum(part.points for part in parts), 2), parts


def _said(signal: Signal) -> str:
    if signal.way == "same hour":
        return (
            f"{signal.strength:.1f} standard deviations above its last {signal.days} days at this hour:"
            f" {signal.now:,.0f} against {signal.usual:,.0f}"
        )
    usual = f"{signal.usual:.0f} on average over the day before" if signal.usual else "not listed the day before"
    return f"{signal.strength:.1f} times as far up as names of this list move: place {signal.now:.0f}, {usual}"


def is_rising(total: float, was_rising: bool) -> bool:
    """Whether a trend is told; what was told stays until it has clearly fallen."""
    return total >= (FALLEN if was_rising else RISING)
