"""A bot against its own history: whether its posts are seen far less than they used to be, and what that looks like."""

import numpy as np
import pandas as pd

from tasks.domain.insight import Verdict

RECENT_DAYS, HISTORY_DAYS = 7, 56
# Days with posts that it takes to judge.
RECENT_LEAST, HISTORY_LEAST = 3, 14
# The fleet's own change is taken off where there are so many bots to tell it by.
FLEET_LEAST = 5
# Far below: at most this share of the own median, and so many standard errors away from it.
BELOW, BELOW_Z = 0.5, -3.0
LIMITED, LIMITED_Z = 1 / 3, -4.0
# Those who do see the posts of a limited account react as before: at this share of the rate at least.
REACTS = 0.5
# A bot whose days are all alike still varies by so much (in logarithms).
DEVIATION_LEAST = 0.1
# From median absolute deviation to standard deviation, and from that to the error of a median, for normal days.
FROM_MAD, OF_MEDIAN = 1.4826, 1.2533


def judged(days: pd.DataFrame) -> pd.DataFrame:
    """Each bot of a frame by `bot` and `age_days` (0 is today) with `posts`, `impressions`, `engaged` and `log_views`
    (sum over posts of log(1 + views)).

    The method is a robust z-score. A day's value is the mean of log(1 + views) of its posts; the last RECENT_DAYS are
    set against the HISTORY_DAYS before them: the difference of the medians, over the error of the recent one by the
    history's median absolute deviation. What the whole fleet has changed by (the median of all bots) is taken off, so
    that X's own weather is nobody's fault. `share` is how much is left of the views (0.3: 30 %), `z` that score.
    """
    values = days.assign(value=days["log_views"] / days["posts"], recent=days["age_days"] < RECENT_DAYS)
    values = values[values["age_days"] < RECENT_DAYS + HISTORY_DAYS]
    recent, before = values[values["recent"]], values[~values["recent"]]
    found = pd.DataFrame(index=pd.Index(sorted(days["bot"].unique()), name="bot"))
    usual = before.groupby("bot")["value"].median()
    apart = (before["value"] - before["bot"].map(usual)).abs()
    deviation = (FROM_MAD * apart.groupby(before["bot"]).median()).clip(lower=DEVIATION_LEAST)
    number = recent.groupby("bot")["value"].count()
    enough = (number >= RECENT_LEAST) & (before.groupby("bot")["value"].count() >= HISTORY_LEAST)
    change = (recent.groupby("bot")["value"].median() - usual)[enough.reindex(usual.index, fill_value=False)]
    if len(change) >= FLEET_LEAST:
        change = change - change.median()
    found["share"] = np.exp(change)
    found["z"] = change / (OF_MEDIAN * deviation / np.sqrt(number))
    found["reacts"] = _rate(recent) / _rate(before)
    found["verdict"] = [
        _verdict(*row) for row in zip(found["share"], found["z"], found["reacts"].fillna(0.0), strict=True)
    ]
    return found.drop(columns="reacts").reset_index()


def _rate(days: pd.DataFrame) -> "pd.Series[float]":
    sums = days.groupby("bot")[["engaged", "impressions"]].sum()
    return sums["engaged"] / sums["impressions"].where(sums["impressions"] > 0)


def _verdict(share: float, z: float, reacts: float) -> Verdict:
    if np.isnan(share):
        return "early"
    if share <= LIMITED and z <= LIMITED_Z and reacts >= REACTS:
        return "limited"
    return "below" if share <= BELOW and z <= BELOW_Z else "as usual"
