"""Rates, comparisons, growth and half-life: right on numbers that can be reckoned by hand, and honest intervals."""

import math
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from tasks.domain.engagement import AGES, compared, growth, half_life_hours, half_lives, rates

FIRST = date(2026, 9, 1)


def a_day(bot: str = "a", day: int = 0, **given: object) -> dict[str, object]:
    return {
        "bot": bot,
        "day": FIRST + timedelta(days=day),
        "source": "csv",
        "template": "-",
        "posts": 1,
        "impressions": 100,
        "engaged": 5,
        "engagements": 9,
        "own_impressions": 100,
        **given,
    }


def test_a_rate_is_over_all_views_and_not_a_mean_of_posts() -> None:
    found = rates(
        pd.DataFrame([a_day(impressions=1000, engaged=10), a_day(day=1, impressions=10, engaged=10)]), ["bot"]
    )
    assert found["rate"][0] == pytest.approx(20 / 1010)
    assert found["x_rate"][0] == pytest.approx(18 / 200)
    assert np.isnan(found["rate_low"][0]) and np.isnan(found["rate_high"][0])


def test_posts_that_nobody_saw_have_no_rate() -> None:
    found = rates(pd.DataFrame([a_day(impressions=0, engaged=0, own_impressions=0)]), ["bot"])
    assert np.isnan(found["rate"][0]) and np.isnan(found["x_rate"][0])


def test_ninety_five_of_a_hundred_intervals_hold_the_truth() -> None:
    """Days differ in their rate and in how often posts are seen, as they do."""
    random = np.random.default_rng(5)
    held = 0
    for _ in range(150):
        seen = random.lognormal(5, 1, 40).astype(int) + 1
        rate = random.gamma(4, 0.03 / 4, 40)
        rows = [
            a_day(day=day, impressions=int(seen[day]), engaged=int(random.poisson(seen[day] * rate[day])))
            for day in range(40)
        ]
        found = rates(pd.DataFrame(rows), ["bot"])
        held += found["rate_low"][0] <= 0.03 <= found["rate_high"][0]
    assert 0.87 < held / 150 <= 0.99


def test_a_template_is_compared_within_bots_and_not_with_what_a_better_bot_says() -> None:
    """Both bots do twice as well with "question"; the poor bot uses it more, which makes its plain rate look poor."""
    rows = []
    for day in range(30):
        rows += [a_day("good", day, template="plain", posts=3, impressions=3000, engaged=300)]
        rows += [a_day("good", day, template="question", impressions=100, engaged=20)]
        rows += [a_day("poor", day, template="plain", impressions=100, engaged=1)]
        rows += [a_day("poor", day, template="question", posts=3, impressions=3000, engaged=60)]
    found = compared(pd.DataFrame(rows), "template").set_index("template")
    assert found["rate"]["question"] < found["rate"]["plain"]
    assert found["against"]["question"] > 1.0 > found["against"]["plain"]
    assert found["against_low"]["question"] > found["against_high"]["plain"]
    assert list(found["posts"]) == [120, 120]


def test_growth_is_from_the_first_day_that_is_known_and_by_week() -> None:
    days = [
        {
            "bot": "a",
            "day": FIRST + timedelta(days=day),
            "followers": None if day == 0 else int(100 * 1.1 ** ((day - 1) / 7)),
        }
        for day in range(15)
    ]
    found = growth(pd.DataFrame([*days, {"bot": "b", "day": FIRST, "followers": 7}]).astype({"followers": float}))
    assert list(found["bot"]) == ["a", "b"]
    assert found["weekly"][0] == pytest.approx(0.1, abs=0.01) and np.isnan(found["weekly"][1])
    assert found["gained"][0] == int(100 * 1.1 ** (13 / 7)) - 100


@pytest.mark.parametrize("true_hours", [0.4, 1.0, 2.5, 5.0])
def test_the_half_life_of_posts_that_are_forgotten_steadily_is_found(true_hours: float) -> None:
    whole = 1 - 0.5 ** (24 / true_hours)
    seen = [10_000 * (1 - 0.5 ** (age / true_hours)) / whole for age in AGES]
    assert half_life_hours(seen) == pytest.approx(-true_hours * math.log2(1 - whole / 2), rel=0.02)


def test_nothing_seen_has_no_half_life_and_a_late_rush_a_late_one() -> None:
    assert half_life_hours([0, 0, 0, 0, 0]) is None
    late = half_life_hours([0, 0, 0, 0, 100])
    assert late is not None and 12 < late <= 24
    days = pd.DataFrame([{"bot": "a", **{f"seen_{age}h": 100 - 50 / age for age in AGES}}])
    assert 0 < half_lives(days)["a"] < 3
    assert math.isnan(half_lives(days.assign(seen_24h=0))["a"])
