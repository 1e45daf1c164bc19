"""Ten minutes of posts of two hundred bots, with and without runs that die."""

import pytest

from tests.flows.many_posts import many_posts
from tests.posting_stack import PostingStack

BOTS, POSTS, SPAN_SECONDS = 200, 2000, 600.0

pytestmark = [pytest.mark.soak, pytest.mark.promise("P3"), pytest.mark.timeout(1800)]


def test_two_thousand_posts_leave_in_time(stack: PostingStack, capsys: pytest.CaptureFixture[str]) -> None:
    found = many_posts(stack, BOTS, POSTS, SPAN_SECONDS)
    with capsys.disabled():
        print(found.said)
    assert found.statuses == {"published": POSTS}
    assert found.accepted == {1: POSTS}
    assert sorted(found.seconds)[POSTS * 99 // 100] < 1


def test_a_run_that_dies_each_minute_delays_few_for_a_short_time(
    stack: PostingStack, capsys: pytest.CaptureFixture[str]
) -> None:
    found = many_posts(stack, BOTS, POSTS, SPAN_SECONDS, killing=True)
    with capsys.disabled():
        print(found.said)
    assert found.killed >= 5
    assert found.accepted.keys() <= {0, 1}
    # A killed run held the posts of three seconds; another takes them over within nine.
    held = POSTS / SPAN_SECONDS * 3 * found.killed
    assert sum(second > 1 for second in found.seconds) <= held
