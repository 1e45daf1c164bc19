"""The story of a post whose run was killed while X decided, as the command tells it."""

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest

from tasks.connections import open_connections
from tasks.operations import reconciliation
from tests.posting_stack import Post, PostingStack
from tests.running_stack import eventually

LATENCY_MS = 3000


@pytest.mark.promise("P7")
def test_a_post_that_was_killed_mid_send_and_reconciled_tells_its_whole_story(stack: PostingStack) -> None:
    stack.standing_by()
    stack.x("POST", "/settings", {"latency_ms": LATENCY_MS})
    posts = stack.schedule(1, due_in_seconds=3)
    [run] = stack.holders(posts, "sending")
    eventually(lambda: datetime.now(UTC) > posts[0].due_at + timedelta(milliseconds=500))
    os.kill(run.process.pid, signal.SIGKILL)
    stack.x("POST", "/settings", {"latency_ms": 0})
    asyncio.run(reconcile(stack, posts))
    [[accepted]] = stack.accepted(posts).values()

    told = stack.command("posts", "why", posts[0].id)
    lines = told.splitlines()
    for said in (
        "written by admin/cli, came by api",
        "the gate let revision 1 pass",
        "posts.schedule by admin/cli (key) [audit row ",
        f"attempt 1 marked by run {run.flow_run_id} on ",
        "attempt 1: its sender was proven dead",
        "attempt 1: no answer of X was written down; it was in doubt from here on",
        "reconciliation looked at the bot's timeline and saw one post with this text at this time",
        f"attempt 1: found on the bot's timeline as {accepted['x_post_id']}",
    ):
        assert any(said in line for line in lines), said
    assert "no seal yet" not in told
    assert lines[-1].startswith("It went out ")


async def reconcile(stack: PostingStack, posts: list[Post]) -> None:
    """Look at the timeline until the post is known to be out."""
    async with open_connections("poster", stack.running.places) as at, asyncio.timeout(90):
        while stack.posts(posts)[0]["status"] != "published":
            async for _ in reconciliation.reconcile(at, 5):
                pass
            await asyncio.sleep(0.5)
