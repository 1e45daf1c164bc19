"""Best times on engagement whose truth is known: nearer to it than averages, and honest about how near."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.best_times import SLOTS, best_times
from tests.synthetic_engagement import KEY, Played, error, play


def together(played: Played) -> pd.DataFrame:
    return played.truth.assign(naive=played.naive()).merge(best_times(played.cells), on=KEY)


@pytest.mark.parametrize("posts", [30, 120])
def test_they_are_nearer_to_the_truth_than_averages_and_say_how_near(posts: int) -> None:
    found = together(play(seed=1, posts=posts))
    ours, averages = error(found["lift"], found["truth"]), error(found["naive"], found["truth"])
    covered = ((found["low"] <= found["truth"]) & (found["truth"] <= found["high"])).mean()
    print(f"{posts} posts a bot: error {ours:.3f} of best times, {averages:.3f} of averages; {covered:.0%} in 95 %")
    assert ours < 0.4 * averages
    assert covered > 0.88
    used = found[found["posts"] > 0]
    assert error(used["lift"], used["truth"]) < 0.4 * error(used["naive"], used["truth"])


def test_who_posts_at_the_hours_they_choose_does_better_than_by_averages() -> None:
    found = together(play(seed=2))

    def gained(column: str) -> float:
        chosen = found.sort_values(column, ascending=False).groupby("persona").head(5)
        return float(np.log(chosen["truth"]).mean())

    assert gained("lift") > gained("naive") + 0.1
    assert gained("lift") > 0.7 * gained("truth")


def test_where_hours_make_no_difference_none_is_called_better() -> None:
    random = np.random.default_rng(3)
    rows = [
        ("bot", "persona", int(random.integers(7)), int(random.integers(24)), float(random.normal(3, 0.8)))
        for _ in range(400)
    ]
    truth = pd.DataFrame(
        [("persona", day, hour, 1.0) for day in range(7) for hour in range(24)], columns=[*KEY, "truth"]
    )
    found = together(Played(pd.DataFrame(rows, columns=["bot", *KEY, "y"]), truth))
    assert ((found["low"] > 1) | (found["high"] < 1)).mean() < 0.05
    assert error(found["lift"], found["truth"]) < 0.3 * error(found["naive"], found["truth"])


def test_a_persona_that_never_posted_at_an_hour_gets_the_fleets_and_a_wider_interval() -> None:
    played = play(seed=4, posts=200)
    fresh = pd.DataFrame([("new bot", "new", 2, 9, 1, 3.0, 9.0)], columns=["bot", *KEY, "posts", "y", "yy"])
    found = best_times(pd.concat([played.cells, fresh], ignore_index=True))
    new, known = found[found["persona"] == "new"], found[found["persona"] == "persona 0"]
    common = found[found["persona"] != "new"].groupby(["weekday", "hour"])["lift"].apply(lambda one: np.log(one).mean())
    assert np.corrcoef(np.log(new["lift"]), common)[0, 1] > 0.9
    assert (new["high"] / new["low"]).mean() > 1.1 * (known["high"] / known["low"]).mean()
    assert list(new["posts"]).count(0) == SLOTS - 1


def test_a_large_account_is_no_good_hour() -> None:
    rows = [("large", "p", day, 8, 5, 50.0, 500.1) for day in range(7)]
    rows += [("small", "p", day, 20, 5, 5.0, 5.1) for day in range(7)]
    found = best_times(pd.DataFrame(rows, columns=["bot", *KEY, "posts", "y", "yy"]))
    assert found["lift"].between(0.95, 1.05).all()


cells = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(0, 6), st.integers(0, 23), st.integers(1, 9), st.floats(0, 12, width=32)
    ),
    max_size=30,
    unique_by=lambda one: one[:3],
)


@settings(max_examples=30)
@given(cells)
def test_whatever_there_is_each_persona_gets_a_whole_week_in_order(
    given: list[tuple[str, int, int, int, float]],
) -> None:
    rows = [(f"bot {who}", who, day, hour, n, n * y, n * y * y) for who, day, hour, n, y in given]
    found = best_times(pd.DataFrame(rows, columns=["bot", *KEY, "posts", "y", "yy"]))
    assert len(found) == SLOTS * len({row[1] for row in rows})
    assert found["posts"].sum() == sum(row[4] for row in rows)
    assert (found["low"] <= found["lift"]).all() and (found["lift"] <= found["high"]).all()
    assert np.isfinite(found[["lift", "low", "high"]].to_numpy(dtype=float)).all()
