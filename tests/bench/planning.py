"""A month planned for two hundred bots, in memory: what a plan takes before the gate and the database see it."""

import time
from statistics import median

from tasks.domain.planning import plan
from tests.bench.figure import Figure
from tests.planned_fleet import BOTS, FIRST_OF_DECEMBER, two_hundred

DAYS, ROUNDS = 30, 3


def plan_200_bots_month() -> list[Figure]:
    """Seconds for a month of two hundred bots."""
    took, posts = [], 0
    for seed in range(ROUNDS):
        speakers = two_hundred()
        began = time.perf_counter()
        posts = len(plan(speakers, [], FIRST_OF_DECEMBER, DAYS, seed).posts)
        took.append(time.perf_counter() - began)
    return [
        Figure(
            "plan_200_bots_month_seconds",
            median(took),
            None,
            "s",
            "ours <= 60",
            beside={"posts": posts},
            units={"posts": "posts"},
            note=f"{BOTS} bots of 20 voices in four zones, {DAYS} days, three posts a day from two templates; no two "
            "posts say the same. Storing them goes through the gate as for any post, and is not counted here.",
        )
    ]
