"""How posts and bots did: rates with their uncertainty, growth, half-life. Values in, values out.

Frames called `days` have a row for each `bot`, `day`, `source` and `template`, with sums over the posts of that day as
they stood when they were a day old: `posts`, `impressions`, `engaged` (likes, reposts, replies, quotes and bookmarks,
which anybody may see), and of what X told the author alone `engagements` and the `own_impressions` of those posts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

# Of a normal distribution, 95 % lie within so many standard deviations.
SURE = 1.96
# Of fewer days of bots no interval is said.
DAYS_LEAST = 10
# By these ages, in hours, it is known how often a post had been seen; the last is when it is judged.
AGES = (1, 3, 6, 12, 24)
WEEK_DAYS = 7
# What anybody may see that people did.
PUBLIC_ACTIONS = ("likes", "reposts", "replies", "quotes", "bookmarks")


def rates(days: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Posts and engagement rate of each group of `by`, with 95 % intervals.

    `rate` is what people did for each time a post was seen, over all posts of the group and not as a mean of posts, so
    that a post nobody saw weighs nothing. `rate_low` and `rate_high` take the days of bots as what varies: posts of a
    day are alike. They are missing (NaN) where there are fewer than DAYS_LEAST. `x_rate` is by X's own engagements, of
    the posts that it gave them for.
    """
    clusters = days.groupby([*by, *(name for name in ("bot", "day") if name not in by)], as_index=False)[_SUMS].sum()
    return _ratios(clusters, by, "rate", "impressions").assign(
        x_rate=lambda frame: frame["engagements"] / frame["own_impressions"].where(frame["own_impressions"] > 0)
    )


def compared(days: pd.DataFrame, by: str) -> pd.DataFrame:
    """As `rates` by source or template, those with most posts first, and `against`: what people did with the posts of
    a group for each that the same bots' rates over all of their posts lead to expect (1.1: a tenth more), with its
    95 % interval `against_low` and `against_high`.

    What one bot alone writes from one template alone is compared with nothing: it is 1.
    """
    found = rates(days, [by])
    bots = days.groupby("bot")[["impressions", "engaged"]].sum()
    usual = (bots["engaged"] / bots["impressions"].where(bots["impressions"] > 0)).fillna(0.0)
    expected = days.assign(expected=days["impressions"] * days["bot"].map(usual))
    clusters = expected.groupby([by, "bot", "day"], as_index=False)[[*_SUMS, "expected"]].sum()
    against = _ratios(clusters, [by], "against", "expected")
    together = found.merge(against[[by, "against", "against_low", "against_high"]], on=by)
    return together.sort_values(["posts", by], ascending=[False, True], ignore_index=True)


_SUMS = ["posts", "impressions", "engaged", "engagements", "own_impressions"]


def _ratios(clusters: pd.DataFrame, by: Sequence[str], name: str, below: str) -> pd.DataFrame:
    """Engaged over `below` for each group, its variance by what the clusters differ from it (linearised)."""
    groups = clusters.groupby(list(by))
    total = groups[[*_SUMS, *({below} - set(_SUMS))]].sum()
    number = groups.size()
    whole = total[below].where(total[below] > 0)
    ratio = total["engaged"] / whole
    own = clusters.set_index(list(by))
    off = own["engaged"] - own[below] * ratio.reindex(own.index)
    squares = (off**2).groupby(level=list(range(len(by)))).sum()
    reach = SURE * np.sqrt(squares * number / (number - 1).where(number >= DAYS_LEAST)) / whole
    told = {name: ratio, f"{name}_low": (ratio - reach).clip(lower=0), f"{name}_high": ratio + reach}
    return total.assign(**told).reset_index()


def growth(days: pd.DataFrame) -> pd.DataFrame:
    """For each `bot`, from its followers (`followers` by `day`, NaN where they were not read): how many there are, how
    many more than on the first day that is known, and by which share they grow in a week; NaN where less than a week
    is known."""
    known = days.dropna(subset=["followers"]).sort_values("day")
    groups = known.groupby("bot")
    first, last = groups.first(), groups.last()
    elapsed = (pd.to_datetime(last["day"]) - pd.to_datetime(first["day"])).dt.days
    factor = (last["followers"] / first["followers"].where(first["followers"] > 0)).astype(float)
    weekly = (factor ** (WEEK_DAYS / elapsed.clip(lower=1)) - 1).where(elapsed >= WEEK_DAYS)
    gained = last["followers"] - first["followers"]
    counts = {"followers": last["followers"].astype("Int64"), "gained": gained.astype("Int64")}
    return pd.DataFrame({**counts, "weekly": weekly}).reset_index()


def half_life_hours(seen: Sequence[float]) -> float | None:
    """After how many hours posts had half of the views of their first day.

    `seen` are views by each of AGES. Between two of them what is still to come is taken to shrink evenly, as it does
    where posts are forgotten at a steady pace. None where nothing was seen.
    """
    whole = seen[-1]
    if not whole > 0:
        return None
    ages, shares = (0.0, *AGES), (0.0, *(one / whole for one in seen))
    later = next(place for place, share in enumerate(shares) if share >= 1 / 2)
    before, after = 1 - shares[later - 1], 1 - shares[later]
    # The very last share leaves nothing to come: there the way is straight.
    part = float(np.log(2 * before) / np.log(before / after)) if after > 0 else (before - 1 / 2) / before
    return ages[later - 1] + part * (ages[later] - ages[later - 1])


def half_lives(days: pd.DataFrame) -> "pd.Series[Any]":
    """Half-life in hours by bot, from the sums `seen_1h` to `seen_12h` and `seen_24h`; NaN where nothing is known."""
    columns = [f"seen_{age}h" for age in AGES]
    sums = days.groupby("bot")[columns].sum()
    found = [half_life_hours([float(one) for one in row]) for row in sums.itertuples(index=False)]
    return pd.Series(found, index=sums.index, dtype=float)
