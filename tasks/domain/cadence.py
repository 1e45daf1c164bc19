"""When a bot speaks on a day: instants in its windows, in its own zone, whatever the clocks do that day."""

import hashlib
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate
from zoneinfo import ZoneInfo

from tasks.domain.personas import WEEKDAYS, ActiveWindow, Cadence

# Between the instants that are looked at; a post is planned at one of them or up to so much later.
STEP = timedelta(minutes=5)
# By how much the best hour may be preferred to the worst one: what is learnt may be wrong.
LIFT_LEAST, LIFT_MOST = 0.25, 4.0

# What each hour of the week is worth, by (weekday, hour); nothing is known of the others.
Lifts = Mapping[tuple[int, int], float]


def draw(*names: object) -> float:
    """A number from 0 to 1 that looks like chance and is always the same for the same names."""
    said = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:6]) / 2**48


def at_wall(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """The instant of a time of a day; one that the clocks leave out is as much later as they are put forward, and of
    one that comes twice the first is meant."""
    return datetime.combine(day, wall, zone).astimezone(UTC)


def is_open(windows: Sequence[ActiveWindow], zone: ZoneInfo, instant: datetime) -> bool:
    """Whether a window is open by the bot's own clock; a bot without windows may always speak."""
    wall = instant.astimezone(zone)
    return not windows or any(
        WEEKDAYS[wall.weekday()] in window.days and window.opens <= wall.time() < window.closes for window in windows
    )


@lru_cache(maxsize=4096)
def _marks(windows: tuple[ActiveWindow, ...], zone: ZoneInfo, day: date) -> Sequence[tuple[datetime, int]]:
    """Every instant of a day at which a window is open, STEP apart, with its hour by the bot's clock.

    A day may have 23 hours, or 25.
    """
    instant = datetime.combine(day, time(), zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
    found = []
    while instant < end:
        if is_open(windows, zone, instant):
            found.append((instant, instant.astimezone(zone).hour))
        instant += STEP
    return found


def instants(
    cadence: Cadence,
    windows: tuple[ActiveWindow, ...],
    zone: ZoneInfo,
    day: date,
    lifts: Lifts,
    taken: Collection[datetime],
    name: str,
) -> Sequence[tuple[int, datetime]]:
    """The turns of a day by number, each within a window and `gap_minutes` away from every other post.

    `taken` are the bot's other posts. `name` decides where chance does: the same name, the same instants. A turn for
    which there is no room is left out.
    """
    gap = timedelta(minutes=cadence.gap_minutes)
    found: list[tuple[int, datetime]] = []
    busy = list(taken)

    def is_free(instant: datetime) -> bool:
        return all(abs(instant - other) >= gap for other in busy)

    for number, choice in enumerate(_choices(cadence, windows, zone, day, lifts, name)):
        instant = next((one for one in choice if is_free(one)), None)
        if instant is not None:
            found.append((number, instant))
            busy.append(instant)
    return found


def _choices(
    cadence: Cadence, windows: tuple[ActiveWindow, ...], zone: ZoneInfo, day: date, lifts: Lifts, name: str
) -> Sequence[Iterable[datetime]]:
    """For each turn the instants it may have, the best first."""
    if cadence.slots:
        slots = [one for one in (at_wall(day, slot, zone) for slot in cadence.slots) if is_open(windows, zone, one)]
        walls = {one: one.astimezone(zone) for one in slots}
        worth = {one: _worth(lifts, wall.weekday(), wall.hour) for one, wall in walls.items()}
        best = sorted(worth, key=lambda one: (-worth[one], one))[: cadence.posts_per_day]
        return [_near_slot(cadence, windows, zone, slot, name) for slot in sorted(best)]
    marks = _marks(windows, zone, day)
    if not marks:
        return []
    sums = list(accumulate(_worth(lifts, day.weekday(), hour) for _, hour in marks))
    turns = []
    for number in range(cadence.posts_per_day):
        # One draw from each of as many equal parts: spread over the day, and more of them where hours are better.
        share = (number + draw(name, number)) / cadence.posts_per_day
        place = min(bisect_left(sums, share * sums[-1]), len(marks) - 1)
        turns.append(_from(place, [mark for mark, _ in marks], windows, zone, draw(name, number, "s")))
    return turns


def _near_slot(
    cadence: Cadence, windows: tuple[ActiveWindow, ...], zone: ZoneInfo, slot: datetime, name: str
) -> Sequence[datetime]:
    later = slot + draw(name, slot) * timedelta(minutes=cadence.spread_minutes)
    later = later.replace(microsecond=0)
    same_day = later.astimezone(zone).date() == slot.astimezone(zone).date()
    return (later, slot) if same_day and is_open(windows, zone, later) else (slot,)


def _from(
    place: int, marks: Sequence[datetime], windows: tuple[ActiveWindow, ...], zone: ZoneInfo, share: float
) -> Iterator[datetime]:
    """A mark, and then the others from the nearest to the farthest, each moved a little."""
    for distance in range(len(marks)):
        for one in sorted({place - distance, place + distance}):
            if 0 <= one < len(marks):
                later = (marks[one] + share * STEP).replace(microsecond=0)
                yield later if is_open(windows, zone, later) else marks[one]


def _worth(lifts: Lifts, weekday: int, hour: int) -> float:
    return min(LIFT_MOST, max(LIFT_LEAST, lifts.get((weekday, hour), 1.0)))
