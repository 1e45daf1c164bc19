"""The same deployment, started in every way there is; the click in Prefect's pages stands in tests/browser."""

import json
import signal
import subprocess

from config.settings import Settings
from deployments.local import environment
from tests.posting_stack import PATIENCE_SECONDS, POSTING, Post, PostingStack
from tests.running_stack import eventually

MINUTE_SECONDS = 60.0
POOL = Settings().prefect.work_pool


def sent_by(stack: PostingStack, flow_run_id: str) -> None:
    """A post falls due, and this run of our work pool sends it to X."""
    stack.run_is_at_work(flow_run_id)
    posts = stack.schedule(1)
    stack.until_all(posts, "published")
    assert stack.runs_that_sent(posts) == {flow_run_id}
    assert ledger_counts(stack, posts) == [1]
    assert stack.running.run(flow_run_id)["work_pool_name"] == POOL


def ledger_counts(stack: PostingStack, posts: list[Post]) -> list[int]:
    return [len(entries) for entries in stack.accepted(posts).values()]


def test_the_schedule_starts_a_run_that_posts(stack: PostingStack) -> None:
    """Runs started by hand are ended, so that only one of the schedule can send."""
    by_hand = [one.process for one in stack.senders() if not stack.running.run(one.flow_run_id)["auto_scheduled"]]
    for process in by_hand:
        process.send(signal.SIGTERM)
    eventually(lambda: not any(process.alive for process in by_hand))
    eventually(stack.senders, MINUTE_SECONDS + PATIENCE_SECONDS)
    posts = stack.schedule(1)
    stack.until_all(posts, "published")
    [run_id] = stack.runs_that_sent(posts)
    run = stack.running.run(run_id)
    assert (run["auto_scheduled"], run["work_pool_name"]) == (True, POOL)
    assert ledger_counts(stack, posts) == [1]


def test_the_command_starts_a_run_that_posts(stack: PostingStack) -> None:
    with stack.no_other_runs():
        said = json.loads(stack.command("run", "publish-due-posts", "--json"))
        assert said["deployment"] == POSTING
        sent_by(stack, said["flow_run_id"])


def test_curl_starts_a_run_that_posts(stack: PostingStack) -> None:
    places = stack.running.places

    def curl(*arguments: str) -> dict[str, str]:
        auth = environment.prefect_auth(places)
        done = subprocess.run(
            # The password by way of stdin: a command line can be read by everybody on the machine.
            ["curl", "--silent", "--show-error", "--fail-with-body", "--config", "-", *arguments],
            input=f'user = "{auth}"\n',
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        return found

    with stack.no_other_runs():
        deployment = curl(f"{places.prefect}/deployments/name/{POSTING}")["id"]
        started = curl(
            f"{places.prefect}/deployments/{deployment}/create_flow_run",
            *("--header", "Content-Type: application/json", "--data", "{}"),
        )
        sent_by(stack, started["id"])
