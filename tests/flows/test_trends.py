"""The deployments of trends on a whole stack: as it stands nobody is asked, which is no failure."""

import json

from tests.posting_stack import PostingStack
from tests.running_stack import eventually


def test_a_stack_that_names_nobody_asks_nobody_and_says_so(stack: PostingStack) -> None:
    said = json.loads(stack.command("run", "scrape-trends/rss", "--json"))
    run = eventually(lambda: ended(stack, said["flow_run_id"]), 120)
    assert run["state_type"] == "COMPLETED" and run["parameters"]["source_class"] == "rss"
    # What a run says arrives in batches, the last of them after its end.
    assert eventually(lambda: any("trend_sources.contact names nobody" in line for line in lines(stack, run["id"])), 60)


def lines(stack: PostingStack, flow_run_id: object) -> list[str]:
    with stack.running.api() as api:
        answer = api.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [flow_run_id]}}})
    return [line["message"] for line in answer.json()]


def ended(stack: PostingStack, flow_run_id: str) -> dict[str, object] | None:
    run: dict[str, object] = stack.running.run(flow_run_id)
    return run if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED") else None
