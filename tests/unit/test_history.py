"""A bot against its own history: a fall is seen, weather and chance are not, and a limited account is told to stop."""

import numpy as np
import pandas as pd

from tasks.domain.history import judged
from tasks.domain.insight import ADVICE


def a_fleet(bots: int = 20, seed: int = 1, days: int = 60, posts: int = 4) -> pd.DataFrame:
    """Bots of all sizes, four posts a day, with chance from day to day and from post to post."""
    random = np.random.default_rng(seed)
    rows = []
    for bot in range(bots):
        level = random.normal(6, 1)
        for age in range(days):
            views = np.exp(level + random.normal(0, 0.2) + random.normal(0, 0.7, posts))
            did = float(random.poisson(views.sum() * 0.02))
            rows.append((f"bot {bot}", age, posts, float(views.sum()), did, float(np.log1p(views).sum())))
    return pd.DataFrame(rows, columns=["bot", "age_days", "posts", "impressions", "engaged", "log_views"])


def fallen(days: pd.DataFrame, bots: list[str], share: float, engaged: float) -> pd.DataFrame:
    """The last week of some bots with so much of its views and of its engagement."""
    late = days["bot"].isin(bots) & (days["age_days"] < 7)
    days = days.copy()
    days.loc[late, "log_views"] += np.log(share) * days.loc[late, "posts"]
    days.loc[late, "impressions"] *= share
    days.loc[late, "engaged"] *= engaged
    return days


def test_who_falls_far_below_his_own_history_is_found_and_nobody_else() -> None:
    found = judged(fallen(a_fleet(), ["bot 3"], 0.2, 0.2)).set_index("bot")
    assert found["verdict"]["bot 3"] == "limited"
    assert "stop and review" in ADVICE["limited"]
    assert set(found["verdict"].drop("bot 3")) == {"as usual"}
    assert 0.1 < found["share"]["bot 3"] < 0.35


def test_who_is_seen_less_because_people_do_not_care_is_not_called_limited() -> None:
    """X shows few people what nobody reacts to: that is what the bot says, and no limit."""
    found = judged(fallen(a_fleet(), ["bot 3"], 0.2, 0.05)).set_index("bot")
    assert found["verdict"]["bot 3"] == "below"


def test_what_befalls_the_whole_fleet_is_nobodys_own() -> None:
    days = a_fleet()
    found = judged(fallen(days, list(days["bot"].unique()), 0.25, 0.25))
    assert set(found["verdict"]) == {"as usual"}


def test_chance_alone_raises_hardly_an_alarm() -> None:
    verdicts = pd.concat([judged(a_fleet(50, seed))["verdict"] for seed in range(20)])
    assert (verdicts == "limited").sum() == 0
    assert (verdicts != "as usual").mean() < 0.002


def test_of_a_new_bot_or_a_silent_one_nothing_is_said() -> None:
    new = a_fleet(1, days=12)
    silent = a_fleet(1, seed=2).assign(bot="silent").query("age_days >= 6")
    found = judged(pd.concat([new, silent], ignore_index=True)).set_index("bot")
    assert set(found["verdict"]) == {"early"}
