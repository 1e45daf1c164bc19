"""Each part killed or frozen while posts are due: X has none of them twice, and none is lost."""

from signal import SIGKILL

import pytest

from tests.faults import breaking
from tests.faults.breaking import HIT, Aftermath
from tests.posting_stack import RECONCILING, PostingStack
from tests.running_stack import eventually

pytestmark = pytest.mark.promise("P1")


def nothing_is_twice_nor_lost(found: Aftermath) -> None:
    """Posts due after the fault all go out, and each post hit that is said to be out is."""
    assert found.doubles == 0, found
    assert set(found.after) <= {"published"}, found
    assert found.hit.keys() <= {"published", "expired"}, found
    assert found.hit["published"] == found.accepted[1], found


@pytest.mark.parametrize(
    "fault",
    [
        breaking.run_killed_when_claimed,
        breaking.worker_killed,
        breaking.supervisor_killed,
        breaking.database_killed,
        breaking.vault_frozen,
        # Their posts wait for the next minute's run.
        pytest.param(breaking.worker_and_runs_killed, marks=pytest.mark.soak),
        pytest.param(breaking.worker_runs_and_server_killed, marks=pytest.mark.soak),
    ],
    ids=lambda fault: fault.__name__,
)
def test_where_no_answer_is_lost_every_post_goes_out_once(stack: PostingStack, fault: breaking.Fault) -> None:
    found = fault(stack)
    nothing_is_twice_nor_lost(found)
    assert found.hit == {"published": HIT}, found
    assert found.accepted == {1: HIT}, found


# These once ended unknown, and stayed so. Now the timeline is read, and they end as one post each: found there, or sent
# again once it is known that X does not have them.
@pytest.mark.parametrize(
    "fault",
    [
        breaking.run_killed_when_marked,
        breaking.run_killed_while_x_decides,
        pytest.param(breaking.run_killed_before_x_reads, marks=pytest.mark.soak),
        breaking.run_killed_before_the_outcome,
        breaking.x_frozen,
    ],
    ids=lambda fault: fault.__name__,
)
def test_where_an_answer_is_lost_every_post_ends_as_one(stack: PostingStack, fault: breaking.Fault) -> None:
    found = fault(stack)
    nothing_is_twice_nor_lost(found)
    assert found.hit == {"published": HIT}, found
    assert found.accepted == {1: HIT}, found


def test_a_crashed_run_starts_a_look_whose_page_says_what_was_found(stack: PostingStack) -> None:
    stack.standing_by()
    # The look of the minute may come first, and then there is nothing left to find.
    with stack.no_other_looks():
        before = {run["id"] for run in stack.running.runs(RECONCILING)}
        with stack.x_hesitates(1, breaking.DECIDES_MS):
            posts = stack.schedule(1, breaking.AIM_SECONDS)
            [run] = stack.holders(posts, "sending")
        run.process.send(SIGKILL)
        stack.until_all(posts, "published", breaking.NEXT_MINUTE_SECONDS)
        started = [one for one in stack.running.runs(RECONCILING) if one["id"] not in before]
        said = eventually(lambda: [line for one in started for line in stack.logs(one["id"]) if posts[0].id in line])
    assert any("published" in line and "found on the timeline" in line for line in said) or any(
        "wait" in line for line in said
    )
