"""Bursts planted in two weeks of made-up history, replayed through the rules that find what rises.

    python -m tests.trend_replay [WORLDS] [DAYS] [EVERY N STEPS OF 15 MINUTES]

prints for each rule how many of the bursts it found, how many of its alarms were bursts, how many were none each day,
and how long it took; beside the obvious rule: a name that has twice its volume of a day ago, or is new among the first
ten. An alarm is the beginning of a time in which a rule says that a name rises; within six hours after its end there is
no other. The world has names with days and nights, names that come every morning, names whose volume drifts, lists
without volumes, a list of stories that are all new, and noise that lasts for one or two readings.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median

from tasks.domain.burst import Listing, Place, Signal, is_new, is_rising, score, signals

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(minutes=15)
STEPS_A_DAY = 96
LEARNT_DAYS = 8
FOUND_WITHIN = timedelta(hours=6)
QUIET = timedelta(hours=6)
SOURCES = ("google", "mastodon", "stories")
LENGTHS = {"google": 50, "mastodon": 30, "stories": 30}
REGULARS, EVERY_MORNING, JUNK_A_DAY, STORIES_A_DAY = 260, 25, 14, 60


@dataclass(frozen=True)
class Burst:
    """A planted one: the name, when, how many times its volume, on which sources."""

    name: int
    at: datetime
    factor: float
    sources: tuple[str, ...]

    def times(self, now: datetime) -> float:
        """What the volume is multiplied by: up within an hour and a half, high for three, down over four."""
        hours = (now - self.at) / timedelta(hours=1)
        if hours < 0 or hours > 9:
            return 1.0
        shape = min(1.0, hours / 1.5) if hours < 4.5 else max(0.0, 1 - (hours - 4.5) / 4.5)
        return float(self.factor**shape)


@dataclass
class World:
    """What each source lists at each step."""

    bursts: list[Burst]
    steps: list[dict[str, Listing]]


def a_world(random: Random, days: int, bursts_a_day: float = 3) -> World:
    """Two weeks, the last days of them with bursts."""
    base = {name: random.gauss(7.5, 1.1) for name in range(REGULARS)}
    phase = {name: random.gauss(15, 4) for name in base}
    sway = {name: random.uniform(0.2, 0.9) for name in base}
    mornings = {name: random.randrange(24) for name in random.sample(sorted(base), EVERY_MORNING)}
    drift = dict.fromkeys(base, 0.0)
    bursts = _bursts(random, days, bursts_a_day)
    fresh = {one.name: random.uniform(5.5, 7) for one in bursts if one.name >= REGULARS}
    junk = _lives(random, days, JUNK_A_DAY, 100_000, (1, 2))
    stories = _lives(random, days, STORIES_A_DAY, 200_000, (20, 90))
    steps = []
    for step in range(days * STEPS_A_DAY):
        now = START + step * STEP
        hour = now.hour + now.minute / 60
        for name in base:
            drift[name] = 0.995 * drift[name] + random.gauss(0, 0.035)
        plain = {
            name: level
            + drift[name]
            + sway[name] * math.cos((hour - phase[name]) / 24 * 2 * math.pi)
            + (1.8 if name in mornings and (hour - mornings[name]) % 24 < 2 else 0)
            for name, level in base.items()
        }
        levels = {source: dict(plain) for source in ("google", "mastodon")}
        levels["stories"] = {
            name: min(6.0, 0.18 * age) - 0.04 * age + noise for name, age, noise, _ in _alive(stories, step)
        }
        for name, _, noise, source in _alive(junk, step):
            levels[source][name] = (9.5 if source != "stories" else 5) + noise
        for burst in bursts:
            if (more := burst.times(now)) > 1:
                for source in burst.sources:
                    usual = plain.get(burst.name, fresh.get(burst.name, 0)) if source != "stories" else 1.0
                    levels[source][burst.name] = usual + math.log(more)
        steps.append({source: _listing(random, source, now, found) for source, found in levels.items()})
    return World(bursts, steps)


def _bursts(random: Random, days: int, a_day: float) -> list[Burst]:
    found = []
    regulars = random.sample(range(REGULARS), REGULARS)
    for number in range(round(a_day * (days - LEARNT_DAYS))):
        at = START + timedelta(days=LEARNT_DAYS) + random.random() * timedelta(days=days - LEARNT_DAYS, hours=-9)
        is_new = random.random() < 0.5
        name = 300_000 + number if is_new else regulars.pop()
        sources = tuple(source for source, odds in zip(SOURCES, (1, 0.6, 0.4), strict=True) if random.random() < odds)
        found.append(Burst(name, at, random.uniform(20, 80) if is_new else random.uniform(5, 20), sources))
    return found


def _lives(
    random: Random, days: int, a_day: int, first: int, steps: tuple[int, int]
) -> list[tuple[int, int, int, float, str]]:
    """Names that live for a while and never again: when they begin and end, how strong they are, and where."""
    found = []
    for number in range(a_day * days):
        begins = random.randrange(days * STEPS_A_DAY)
        ends = begins + random.randint(*steps)
        found.append((first + number, begins, ends, random.gauss(0, 0.6), random.choice(SOURCES)))
    return found


def _alive(lives: Sequence[tuple[int, int, int, float, str]], step: int) -> Iterator[tuple[int, int, float, str]]:
    for name, begins, ends, noise, source in lives:
        if begins <= step < ends:
            yield name, step - begins, noise, source


def _listing(random: Random, source: str, now: datetime, levels: Mapping[int, float]) -> Listing:
    told = sorted(((level + random.gauss(0, 0.12), name) for name, level in levels.items()), reverse=True)
    counts = source != "mastodon"
    return Listing(
        now,
        {
            name: Place(rank, round(math.expm1(max(0.1, level))) if counts else None)
            for rank, (level, name) in enumerate(told[: LENGTHS[source]], 1)
        },
    )


Rule = Callable[[Mapping[str, Sequence[Listing]]], set[int]]


def obvious(seen: Mapping[str, Sequence[Listing]]) -> set[int]:
    """Twice the volume of a day ago, or, where there is none, new among the first ten since an hour ago."""
    found = set()
    for listings in seen.values():
        newest, hour_ago = listings[-1], listings[-5]
        day_ago = listings[-1 - STEPS_A_DAY]
        for name, place in newest.places.items():
            before = day_ago.places.get(name)
            if before and before.volume and place.volume:
                if place.volume >= 2 * before.volume:
                    found.add(name)
            elif place.rank <= 10 and name not in hour_ago.places:
                found.add(name)
    return found


@dataclass
class Ours:
    """The product's rule, or without what several sources add, or without what being new adds."""

    spread: bool = True
    novelty: bool = True
    rising: set[int] = field(default_factory=set)
    first_seen: dict[int, datetime] = field(default_factory=dict)

    def __call__(self, seen: Mapping[str, Sequence[Listing]]) -> set[int]:
        """Names that rise now."""
        by_name: dict[int, dict[str, Signal]] = {}
        for source, listings in seen.items():
            # All of what was before the first look, and then what has come since.
            for one in listings if not self.rising and not self.first_seen else listings[-STEPS_A_DAY:]:
                for name in one.places:
                    self.first_seen.setdefault(name, one.at)
            for name, signal in signals(listings).items():
                by_name.setdefault(name, {})[source] = signal
        now = next(iter(seen.values()))[-1].at
        self.rising = {
            name for name, found in by_name.items() if is_rising(self._score(name, found, now), name in self.rising)
        }
        return self.rising

    def _score(self, name: int, found: Mapping[str, Signal], now: datetime) -> float:
        if not self.spread:
            strongest = max(found, key=lambda source: found[source].strength)
            found = {strongest: found[strongest]}
        return score(found, self.novelty and is_new(self.first_seen[name], START, now))[0]


@dataclass(frozen=True)
class Result:
    """How a rule did."""

    bursts: int
    found: int
    alarms: int
    false: int
    days: float
    delays: tuple[float, ...]

    @property
    def precision(self) -> float:
        """Alarms that were bursts."""
        return (self.alarms - self.false) / self.alarms if self.alarms else 0.0

    @property
    def recall(self) -> float:
        """Bursts that were found."""
        return self.found / self.bursts

    @property
    def f1(self) -> float:
        """Both in one."""
        return 2 * self.precision * self.recall / ((self.precision + self.recall) or 1)

    @property
    def false_a_day(self) -> float:
        """Alarms about nothing."""
        return self.false / self.days


def together(results: Sequence[Result]) -> Result:
    """Several worlds as one."""
    return Result(
        sum(one.bursts for one in results),
        sum(one.found for one in results),
        sum(one.alarms for one in results),
        sum(one.false for one in results),
        sum(one.days for one in results),
        tuple(delay for one in results for delay in one.delays),
    )


def listed(world: World) -> Mapping[int, Burst]:
    """The bursts that any list shows within the time in which they must be found, by name: the others nobody sees."""
    found = {}
    for burst in world.bursts:
        first = math.ceil((burst.at - START) / STEP)
        steps = world.steps[first : first + round(FOUND_WITHIN / STEP)]
        if any(burst.name in step[source].places for step in steps for source in burst.sources):
            found[burst.name] = burst
    return found


def replay(world: World, rule: Rule, every: int = 1) -> Result:
    """Let a rule look at each step (or each so many) once the world is known for eight days."""
    first, kept = LEARNT_DAYS * STEPS_A_DAY, 14 * STEPS_A_DAY
    planted = listed(world)
    last_true: dict[int, datetime] = {}
    found: dict[int, float] = {}
    alarms = false = 0
    for step in range(first, len(world.steps), every):
        now = world.steps[step]["google"].at
        seen = {source: [one[source] for one in world.steps[max(0, step - kept) : step + 1]] for source in SOURCES}
        for name in rule(seen):
            fresh = name not in last_true or now - last_true[name] > QUIET
            last_true[name] = now
            if not fresh:
                continue
            alarms += 1
            burst = planted.get(name)
            if burst and burst.at <= now <= burst.at + FOUND_WITHIN:
                found.setdefault(name, (now - burst.at) / timedelta(minutes=1))
            else:
                false += 1
    days = (len(world.steps) - first) / STEPS_A_DAY
    return Result(len(planted), len(found), alarms, false, days, tuple(found.values()))


RULES: Mapping[str, Callable[[], Rule]] = {
    "obvious": lambda: obvious,
    "burst alone": lambda: Ours(spread=False, novelty=False),
    "burst and spread": lambda: Ours(novelty=False),
    "burst and novelty": lambda: Ours(spread=False),
    "all three (ours)": Ours,
}


def main(seeds: int = 5, days: int = 14, every: int = 1) -> None:
    """Print a table of all seeds together."""
    worlds = [a_world(Random(seed), days) for seed in range(seeds)]  # noqa: S311 - it plays the same worlds again
    print(f"{seeds} worlds of {days} days, the last {days - LEARNT_DAYS} replayed every {15 * every} minutes")
    print(f"{'rule':<20}{'bursts':>7}{'found':>7}{'precision':>11}{'recall':>8}{'false/day':>11}{'delay':>9}")
    for name, make in RULES.items():
        told = together([replay(world, make(), every) for world in worlds])
        delay = f"{median(told.delays):.0f} min" if told.delays else "-"
        print(
            f"{name:<20}{told.bursts:>7}{told.found:>7}{told.precision:>11.2f}{told.recall:>8.2f}"
            f"{told.false_a_day:>11.2f}{delay:>9}"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
