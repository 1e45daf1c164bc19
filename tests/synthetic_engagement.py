"""Engagement whose truth is known: posts of bots whose hours are worth what this says they are."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

HOURS, WEEKDAYS = 24, 7
KEY = ["persona", "weekday", "hour"]


@dataclass(frozen=True)
class Played:
    """`posts`, a row each with `y` = log(1 + what people did), and the `truth` by hour of the week of each persona."""

    posts: pd.DataFrame
    truth: pd.DataFrame

    @property
    def cells(self) -> pd.DataFrame:
        """Sums, as the store makes them."""
        rows = self.posts.assign(yy=self.posts["y"] ** 2, posts=1)
        return rows.groupby(["bot", *KEY], as_index=False)[["posts", "y", "yy"]].sum()

    def naive(self) -> "pd.Series[float]":
        """Plain averages: an hour is worth what the persona's posts at it did above the average of their bots (as a
        lift); 1 where there was none. In the order of the truth."""
        above = self.posts["y"] - self.posts.groupby("bot")["y"].transform("mean")
        means = above.groupby([self.posts[name] for name in KEY]).mean().rename("above").reset_index()
        return np.exp(self.truth.merge(means, how="left", on=KEY)["above"].fillna(0.0))


def play(seed: int, personas: int = 8, bots: int = 5, posts: int = 120) -> Played:
    """Fleets as they are: hours matter most, personas and weekdays less, chance more than all of them; every bot has
    some favourite hours, and accounts differ in size by far more than hours do."""
    random = np.random.default_rng(seed)
    hours = np.arange(HOURS)
    fleet = 0.5 * np.sin((hours - 14) / 24 * 2 * np.pi)[None, :] + np.array([0, 0, 0.05, 0.05, 0, -0.2, -0.25])[:, None]
    rows, truth = [], []
    for persona in range(personas):
        own = random.normal(0, 0.2) * np.sin((hours - random.integers(HOURS)) / 24 * 2 * np.pi)[None, :]
        effect = fleet + own + random.normal(0, 0.1, (WEEKDAYS, 1)) + random.normal(0, 0.1, (WEEKDAYS, HOURS))
        effect -= effect.mean()
        truth += [
            (f"persona {persona}", day, hour, float(np.exp(effect[day, hour])))
            for day in range(WEEKDAYS)
            for hour in range(HOURS)
        ]
        for bot in range(bots):
            level, favourites = random.normal(3, 1), random.choice(HOURS, 8, replace=False)
            for _ in range(posts):
                day = int(random.integers(WEEKDAYS))
                hour = int(random.choice(favourites) if random.random() < 0.7 else random.integers(HOURS))
                did = random.poisson(np.exp(level + effect[day, hour] + random.normal(0, 0.8)))
                rows.append((f"bot {persona}-{bot}", f"persona {persona}", day, hour, float(np.log1p(did))))
    return Played(pd.DataFrame(rows, columns=["bot", *KEY, "y"]), pd.DataFrame(truth, columns=[*KEY, "truth"]))


def error(found: "pd.Series[float]", truth: "pd.Series[float]") -> float:
    """Root of the mean squared difference of two series of lifts, in logarithms: 0.1 is about 10 %."""
    return float(np.sqrt(((np.log(found.to_numpy()) - np.log(truth.to_numpy())) ** 2).mean()))
