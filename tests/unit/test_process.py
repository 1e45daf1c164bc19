"""Proven death: what the kernel says, and nothing less."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from blocks.process import ProcessIdentity, proven_dead, state_and_ticks, this_process


def started() -> "tuple[subprocess.Popen[bytes], ProcessIdentity]":
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    found = state_and_ticks(child.pid)
    assert found is not None
    return child, replace(this_process(), pid=child.pid, start_ticks=found[1])


def test_a_living_process_is_not_dead_and_a_killed_one_is() -> None:
    child, identity = started()
    assert not proven_dead(identity)
    child.kill()
    child.wait()
    assert proven_dead(identity)


def test_a_zombie_is_dead_although_its_number_and_ticks_are_still_there() -> None:
    child, identity = started()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert state_and_ticks(child.pid) == ("Z", identity.start_ticks)
        assert proven_dead(identity)
    finally:
        child.wait()


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({"start_ticks": 1}, True),
        ({"boot_id": "another boot"}, True),
        ({"host": "another-host", "start_ticks": 1}, False),
        ({"pid_namespace": 1, "start_ticks": 1}, False),
    ],
)
def test_a_number_that_came_back_is_another_process_and_other_places_prove_nothing(
    change: dict[str, object], dead: bool
) -> None:
    assert proven_dead(replace(this_process(), **change)) is dead  # type: ignore[arg-type]
