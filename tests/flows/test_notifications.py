"""Operators are told by real runs: asked for, started by a failed run, by the clerk's alarm, and by the supervisor."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from config.loading import APP_ROOT
from deployments.cli.client import api
from deployments.local import automations, environment
from tests.posting_stack import PostingStack
from tests.running_stack import eventually
from tests.told import hearing

PATIENCE_SECONDS = 150.0
pytestmark = pytest.mark.timeout(600)

Heard = dict[str, Any]
PLANTED = "planted-in-the-address-of-a-channel"


@pytest.fixture
def heard(stack: PostingStack) -> Iterator[list[Heard]]:
    """What a channel for everything is told; it is gone after the test."""
    with ExitStack() as ending, hearing() as (address, found):
        with api() as gateway:
            target = {"kind": "webhook", "url": f"{address}/{PLANTED}"}
            gateway.post("/notifications/channels", {"name": "flows-test", "target": target})
            ending.callback(stack.command, "notify", "channels", "remove", "flows-test")
        yield found


def told(heard: list[Heard], about: str, fits: Callable[[Heard], bool] = lambda _: True) -> Heard:
    def found() -> Heard | None:
        return next((one for one in list(heard) if one["about"] == about and fits(one)), None)

    return eventually(found, PATIENCE_SECONDS)


def test_a_channel_is_tried_by_a_run(stack: PostingStack, heard: list[Heard]) -> None:
    said = json.loads(stack.command("notify", "channels", "test", "flows-test", "--json"))
    assert said["delivery"]["state"] == "sent"
    told(heard, "test")
    run_id = said["run"]["id"]
    assert PLANTED not in json.dumps([stack.running.run(run_id), stack.logs(run_id), stack.artifacts(run_id)])


def test_a_failed_run_is_told_and_the_morning_and_a_held_post_too(stack: PostingStack, heard: list[Heard]) -> None:
    with stack.running.api() as prefect:
        names = [automation["name"] for automation in automations.wanted(stack.running.places, prefect)]
    assert {automations.FAILED, automations.ALARM} <= set(names)
    [post] = stack.schedule(1, due_in_seconds=3600)
    stack.sql("UPDATE posts SET status = 'held', updated_at = app_now() WHERE id = %s", post.id)
    try:
        failing = stack.running.start_run("fail/by-hand")
        told(heard, "run_failed", lambda one: failing in str(one["link"]))
        told(heard, "post_held")
        stack.command("run", "notify-operators/every-morning")
        told(heard, "morning_summary")
    finally:
        stack.sql("UPDATE posts SET status = 'cancelled' WHERE id = %s", post.id)


def test_a_dead_part_is_told_by_a_process_of_the_supervisors(stack: PostingStack, heard: list[Heard]) -> None:
    """As the supervisor starts it, while Prefect is not asked for anything."""
    places = stack.running.places
    done = subprocess.run(
        [sys.executable, "-m", "deployments.local.alarm", "worker", "worker has been dead for 30 s"],
        env=environment.own(places, "reader"),
        cwd=APP_ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert told(heard, "part_down")["title"] == "worker is down"
