"""Best times on engagement whose truth is known, against plain averages of the same posts."""

from statistics import mean, median

from tasks.domain.best_times import best_times
from tests.bench.figure import Figure
from tests.synthetic_engagement import KEY, error, play

FLEETS, POSTS_EACH = 10, 120


def best_times_error() -> list[Figure]:
    """By how much the worth of an hour is mistaken, as the root of the mean square in logarithms."""
    ours, averages, covered = [], [], []
    for seed in range(FLEETS):
        played = play(seed, posts=POSTS_EACH)
        found = played.truth.assign(naive=played.naive()).merge(best_times(played.cells), on=KEY)
        ours.append(error(found["lift"], found["truth"]))
        averages.append(error(found["naive"], found["truth"]))
        covered.append(float(((found["low"] <= found["truth"]) & (found["truth"] <= found["high"])).mean()))
    return [
        Figure(
            "best_times_error",
            median(ours),
            median(averages),
            "log",
            "ratio <= 0.4",
            beside={"truth within the 95 % interval": 100 * mean(covered)},
            units={"truth within the 95 % interval": "%"},
            note=f"{FLEETS} made-up fleets of 8 personas and 40 bots with {POSTS_EACH} posts each; the truth of "
            "each of 168 hours is known, and chance from post to post is larger. The limit is the average of what "
            "posts at that hour did above their bot's own average. 0.1 is about 10 %.",
        )
    ]
