"""Each part killed or frozen while posts are due: X has none of them twice, and none is lost."""

import pytest

from tests.faults import breaking
from tests.faults.breaking import HIT, Aftermath
from tests.posting_stack import PostingStack

pytestmark = pytest.mark.promise("P1")


def nothing_is_twice_nor_lost(found: Aftermath) -> None:
    """Posts due after the fault all go out; each post hit that X has not is said to be unknown."""
    assert found.doubles == 0, found
    assert set(found.after) <= {"published"}, found
    assert found.hit.keys() <= {"published", "unknown"}, found
    assert found.hit["published"] <= found.accepted[1], found


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


def test_posts_that_were_marked_and_perhaps_not_sent_are_unknown(stack: PostingStack) -> None:
    found = breaking.run_killed_when_marked(stack)
    nothing_is_twice_nor_lost(found)
    assert found.hit == {"unknown": HIT}, found


@pytest.mark.parametrize(
    "fault",
    [
        breaking.run_killed_while_x_decides,
        pytest.param(breaking.run_killed_before_x_reads, marks=pytest.mark.soak),
        breaking.run_killed_before_the_outcome,
        breaking.x_frozen,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_post_whose_answer_is_lost_is_unknown_and_stays_so(stack: PostingStack, fault: breaking.Fault) -> None:
    found = fault(stack)
    nothing_is_twice_nor_lost(found)
    assert found.hit == {"unknown": HIT}, found
    assert found.accepted == {1: HIT}, found
