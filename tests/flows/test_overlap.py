"""Runs that overlap, as two of them do at any time."""

import pytest

from tests.posting_stack import PostingStack


@pytest.mark.promise("P1")
def test_two_runs_at_once_send_every_post_once(stack: PostingStack) -> None:
    stack.standing_by(2)
    posts = [post for _ in range(4) for post in stack.schedule(20, 1.0, 0.01)]
    stack.until_all(posts, "published")
    assert {len(entries) for entries in stack.accepted(posts).values()} == {1}
    assert len(stack.ledger()) == len(posts)
