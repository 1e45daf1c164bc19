"""The load of a busy minute, through everything there is."""

import pytest

from tests.flows.many_posts import POSTS, thousand_posts
from tests.posting_stack import PostingStack


@pytest.mark.soak
@pytest.mark.promise("P1")
def test_a_thousand_posts_of_fifty_bots_due_in_a_minute_go_out_once_each(
    stack: PostingStack, capsys: pytest.CaptureFixture[str]
) -> None:
    found = thousand_posts(stack)
    with capsys.disabled():
        print(f"\n{found.said}")
    assert found.statuses == {"published": POSTS}
    assert found.accepted == {1: POSTS}
    assert min(found.seconds) >= 0
