"""When posts of a persona do best: hours of the week, learnt from few posts without believing in chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Numbers = npt.NDArray[np.float64]

HOURS, WEEKDAYS = 24, 7
SLOTS = HOURS * WEEKDAYS
# Neighbouring hours are alike: after so many hours they are still so by 0.6.
ALIKE_HOURS = 2.0
# How often the variances are improved, from how many personas at most (those with most posts), and how often the level
# of each bot is reckoned anew from what its hours are worth.
STEPS, PERSONAS_MOST, ROUNDS = 10, 12, 3
# Fewer repeats than this say too little about chance: then all that bots do not explain is taken for it.
REPEATS_LEAST = 30
VARIANCE_LEAST = 1e-6
# Of a normal distribution, 95 % lie within so many standard deviations.
SURE = 1.96
COLUMNS = ("persona", "weekday", "hour", "posts", "lift", "low", "high")


@dataclass(frozen=True)
class _Seen:
    """What posts showed of a week: which of its hours, how much they lie above their bots' level, and its variance."""

    slots: npt.NDArray[np.intp]
    mean: Numbers
    noise: Numbers


@dataclass(frozen=True)
class _Week:
    """What is believed of the 168 hours of a week."""

    mean: Numbers
    covariance: Numbers


@dataclass(frozen=True)
class _Worth:
    """What each hour is worth against the week's average one, and by how much that may be wrong."""

    mean: Numbers
    deviation: Numbers


def best_times(cells: pd.DataFrame) -> pd.DataFrame:
    """What each hour of the week is worth to each persona: a row for each of its 168 hours.

    `cells` are sums over posts by `bot`, `persona`, `weekday` (0 is Monday) and `hour` in the bot's own zone: how many
    `posts`, and of log(1 + what people did) the sum `y` and the sum of squares `yy`. `lift` is how much better a post
    does at that hour than at the persona's average one (1.2: by 20 %), `low` and `high` its 95 % interval, `posts` what
    the persona has posted at that hour.

    The method is empirical Bayes with normal effects: a week of the fleet, and from it each persona's own, both made of
    an hour's, a weekday's and their common part, smooth over neighbouring hours. How much these vary is learnt from the
    posts. So an hour that a persona hardly ever used is worth what it is worth to the fleet, and its interval is wide.
    """
    if cells.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    cells = cells.assign(slot=cells["weekday"] * HOURS + cells["hour"], mean=cells["y"] / cells["posts"], worth=0.0)
    chance = _chance(cells)
    fleet, own = np.full(len(_SHAPES), 0.02), np.full(len(_SHAPES), 0.01)
    worth: dict[str, _Worth] = {}
    for _ in range(ROUNDS):
        seen = _seen(cells, chance)
        fleet, own, common = _learn(list(seen.values()), fleet, own)
        prior = common.covariance + _mixed(own)
        worth = {name: _worth(_believed(one, common.mean, prior)) for name, one in seen.items()}
        cells["worth"] = [worth[name].mean[slot] for name, slot in zip(cells["persona"], cells["slot"], strict=True)]
    used = cells.groupby(["persona", "slot"])["posts"].sum()
    return pd.concat([_rows(name, one, used.loc[name]) for name, one in worth.items()], ignore_index=True)


def _worth(week: _Week) -> _Worth:
    variance = np.diag(week.covariance) - 2 * week.covariance.mean(axis=0) + week.covariance.mean()
    return _Worth(week.mean - week.mean.mean(), np.sqrt(variance))


def _rows(persona: str, week: _Worth, used: "pd.Series[Any]") -> pd.DataFrame:
    reach = SURE * week.deviation
    slots = np.arange(SLOTS)
    return pd.DataFrame(
        {
            "persona": persona,
            "weekday": slots // HOURS,
            "hour": slots % HOURS,
            "posts": used.reindex(slots, fill_value=0).to_numpy(),
            "lift": np.exp(week.mean),
            "low": np.exp(week.mean - reach),
            "high": np.exp(week.mean + reach),
        }
    )


def _shapes() -> tuple[Numbers, ...]:
    """How alike two hours of a week are: as hours of the day, as days, as both, and as this very hour."""
    hour, weekday = np.arange(SLOTS) % HOURS, np.arange(SLOTS) // HOURS
    gap = np.abs(hour[:, None] - hour[None, :])
    alike = np.exp(-((np.minimum(gap, HOURS - gap) / ALIKE_HOURS) ** 2) / 2)
    same_day = (weekday[:, None] == weekday[None, :]).astype(float)
    return alike, same_day, alike * same_day, np.eye(SLOTS)


_SHAPES = _shapes()


def _mixed(variances: Numbers) -> Numbers:
    total = np.zeros((SLOTS, SLOTS))
    for variance, shape in zip(variances, _SHAPES, strict=True):
        total += variance * shape
    return total


def _chance(cells: pd.DataFrame) -> float:
    """Variance of a post about what its bot, weekday and hour make of it."""
    groups = cells[["posts", "y", "yy"]]
    if (cells["posts"] - 1).sum() < REPEATS_LEAST:
        groups = cells.groupby("bot")[["posts", "y", "yy"]].sum()
    repeats = max(1.0, float((groups["posts"] - 1).sum()))
    return max(VARIANCE_LEAST, float((groups["yy"] - groups["y"] ** 2 / groups["posts"]).sum()) / repeats)


def _seen(cells: pd.DataFrame, chance: float) -> dict[str, _Seen]:
    """Each persona's hours, its bots' levels taken off: a large account is no good hour."""
    above = cells.assign(of=(cells["mean"] - cells["worth"]) * cells["posts"])
    bots = above.groupby("bot")[["of", "posts"]].transform("sum")
    above["of"] = (cells["mean"] - bots["of"] / bots["posts"]) * cells["posts"]
    hours = above.groupby(["persona", "slot"])[["of", "posts"]].sum()
    found = {}
    for name, rows in hours.groupby(level="persona"):
        posts = rows["posts"].to_numpy(dtype=float)
        slots = rows.index.get_level_values("slot").to_numpy(dtype=np.intp)
        found[str(name)] = _Seen(slots, rows["of"].to_numpy(dtype=float) / posts, chance / posts)
    return found


def _learn(seen: Sequence[_Seen], fleet: Numbers, own: Numbers) -> tuple[Numbers, Numbers, _Week]:
    """The variances of the fleet's week and of the personas' own, and what is believed of the fleet's week."""
    telling = sorted(seen, key=lambda one: -float((1 / one.noise).sum()))[:PERSONAS_MOST]
    common = _believed(_fleet(seen, own), np.zeros(SLOTS), _mixed(fleet))
    for _ in range(STEPS):
        fleet = _improved(fleet, [_fleet(seen, own)], np.zeros(SLOTS), np.zeros((SLOTS, SLOTS)))
        common = _believed(_fleet(seen, own), np.zeros(SLOTS), _mixed(fleet))
        own = _improved(own, telling, common.mean, common.covariance)
    return fleet, own, common


def _fleet(seen: Sequence[_Seen], own: Numbers) -> _Seen:
    """All personas as one: what is a persona's own is chance to the fleet."""
    weight, total = np.zeros(SLOTS), np.zeros(SLOTS)
    for one in seen:
        np.add.at(weight, one.slots, 1 / (one.noise + own.sum()))
        np.add.at(total, one.slots, one.mean / (one.noise + own.sum()))
    slots = np.flatnonzero(weight)
    return _Seen(slots, total[slots] / weight[slots], 1 / weight[slots])


def _improved(variances: Numbers, weeks: Sequence[_Seen], mean: Numbers, known: Numbers) -> Numbers:
    """One step of expectation and maximisation for the variances of what weeks differ from `mean` by."""
    prior = known + _mixed(variances)
    steps = np.zeros(len(_SHAPES))
    for week in weeks:
        at = np.ix_(week.slots, week.slots)
        inverse = np.linalg.inv(prior[at] + np.diag(week.noise))
        pull = inverse @ (week.mean - mean[week.slots])
        for place, shape in enumerate(_SHAPES):
            gain = pull @ shape[at] @ pull - float((inverse * shape[at]).sum())
            steps[place] += variances[place] + variances[place] ** 2 * gain / len(week.slots)
    return np.maximum(VARIANCE_LEAST, steps / len(weeks))


def _believed(seen: _Seen, mean: Numbers, prior: Numbers) -> _Week:
    """The week after what was seen of it."""
    across = prior[:, seen.slots]
    gain = np.linalg.solve(prior[np.ix_(seen.slots, seen.slots)] + np.diag(seen.noise), across.T).T
    return _Week(mean + gain @ (seen.mean - mean[seen.slots]), prior - gain @ across.T)
