"""What an operator reads in Prefect's pages after a run."""

import re

from tests.posting_stack import PostingStack
from tests.running_stack import eventually

WINDOW_SECONDS = 8


def ended(stack: PostingStack, flow_run_id: str) -> None:
    eventually(lambda: stack.running.run(flow_run_id)["state_type"] == "COMPLETED")


def test_a_page_lists_one_task_run_for_each_claim_and_its_log_says_what_became_of_each_post(
    stack: PostingStack,
) -> None:
    with stack.no_other_runs():
        run = stack.start_run(window_seconds=WINDOW_SECONDS)
        stack.run_is_at_work(run)
        together = stack.schedule(5)
        stack.until_all(together, "published")
        stack.x("POST", "/faults", {"fault": "problem", "problem": "forbidden", "endpoint": "POST /2/tweets"})
        refused = stack.schedule(1)
        stack.until_all(refused, "refused")
        stack.x("DELETE", "/faults")
        stack.x("POST", "/faults", {"fault": "drop", "when": "after", "endpoint": "POST /2/tweets"})
        unknown = stack.schedule(1)
        stack.until_all(unknown, "unknown")
        ended(stack, run)
    assert stack.runs_that_sent([*together, *refused, *unknown]) == {run}
    names = sorted(task["name"] for task in stack.task_runs(run))
    assert names == ["claim 1, posts: 5", "claim 2, posts: 1", "claim 3, posts: 1"]

    said = eventually(lambda: [line for line in stack.logs(run) if "This run:" in line] and stack.logs(run))
    for post in together:
        [line] = [line for line in said if f"@{post.bot} published" in line]
        assert re.search(r"published \d+, \d+ ms after its instant", line)
    [row] = stack.posts(refused)
    assert any(line.startswith(f"@{refused[0].bot} refused: post {refused[0].id}: {row['reason']}") for line in said)
    # Its reason changes as soon as the timeline was read.
    assert any(line.startswith(f"@{unknown[0].bot} unknown: post {unknown[0].id}: ") for line in said)
    assert "This run: 5 published, 1 refused, 1 unknown" in said

    drawn = {artifact["type"]: artifact for artifact in stack.artifacts(run)}
    assert set(drawn) == {"progress", "markdown"}
    assert drawn["progress"]["description"] == "7 of 7 posts that this run took have ended"
    assert drawn["progress"]["data"] == 100.0
    summary = drawn["markdown"]["data"]
    for row in ("| published | 5 |", "| refused | 1 |", "| unknown | 1 |", "**Lateness**"):
        assert row in summary


def test_polls_that_find_nothing_leave_no_trace(stack: PostingStack) -> None:
    with stack.no_other_runs():
        run = stack.start_run(window_seconds=2)
        ended(stack, run)
        assert stack.task_runs(run) == []
        assert eventually(lambda: "This run: nothing was due" in stack.logs(run))
        assert stack.artifacts(run) == []
