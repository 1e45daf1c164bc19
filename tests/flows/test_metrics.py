"""The deployments of metrics on a whole stack, through the worker, as the application's own role."""

import json

from deployments.local import prefect_api
from tests.posting_stack import PostingStack
from tests.running_stack import eventually


def run(stack: PostingStack, flow: str, *words: str) -> str:
    """A run by the command that people use, to its end."""
    said = json.loads(stack.command(*(words or ("run", flow)), "--json"))
    assert said["deployment"].startswith(f"{flow}/")
    eventually(lambda: stack.running.run(said["flow_run_id"])["state_type"] == "COMPLETED", 90)
    return str(said["flow_run_id"])


def test_a_post_that_went_out_is_measured_rolled_up_and_kept(stack: PostingStack) -> None:
    bot = stack.bots[4]
    posts = stack.schedule(2, bots=[bot])
    stack.until_all(posts, "published")
    ids = [post.id for post in posts]
    # As if they had gone out an hour ago: the first reading is due.
    stack.sql("UPDATE posts SET published_at = published_at - interval '1 hour' WHERE id = ANY(%s)", ids)
    told = json.loads(stack.command("metrics", "collect", "--dry-run", "--json"))
    assert sum(app["posts"] for app in told["apps"]) >= 2 and told["calls"] >= 1
    run_id = run(stack, "collect-metrics", "metrics", "collect")
    found = stack.sql("SELECT * FROM post_metrics WHERE post_id = ANY(%s)", ids)
    assert len(found) >= 2
    assert {str(row["post_id"]) for row in found} == set(ids)
    assert all(row["impressions"] is not None and row["profile_clicks"] is not None for row in found)
    assert stack.sql("SELECT followers FROM account_metrics WHERE bot_id = %s", found[0]["bot_id"])[0]["followers"] > 0
    hours = stack.sql("SELECT sum(snapshots) AS n FROM bot_metrics_hourly WHERE bot_id = %s", found[0]["bot_id"])
    assert hours[0]["n"] >= 2
    with stack.running.api() as server:
        [page] = prefect_api.filtered(server, "/artifacts", artifacts={"flow_run_id": {"any_": [run_id]}})
    assert page["key"] == "collected-metrics"
    for flow in ("rebuild-metrics", "maintain-tables", "honour-deletions"):
        run(stack, flow)
    again = stack.sql("SELECT sum(snapshots) AS n FROM bot_metrics_hourly WHERE bot_id = %s", found[0]["bot_id"])
    assert again[0]["n"] >= hours[0]["n"]
