"""Proven death: what the kernel says, and nothing less."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

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


LEADER_GONE = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
print("ready", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_zombie_with_a_living_thread_is_not_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", LEADER_GONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    found = state_and_ticks(child.pid)
    assert found is not None
    identity = replace(this_process(), pid=child.pid, start_ticks=found[1])
    try:
        while state_and_ticks(child.pid) != ("Z", found[1]):
            assert child.poll() is None
        assert not proven_dead(identity)
    finally:
        child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert proven_dead(identity)
    child.communicate()


def test_a_process_that_proc_hides_from_us_is_not_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As /proc mounted with hidepid shows the process of another user: not at all."""
    shown = tmp_path / "proc"
    (shown / "sys/kernel/random").mkdir(parents=True)
    (shown / "self/ns").mkdir(parents=True)
    (shown / "sys/kernel/random/boot_id").write_text(this_process().boot_id)
    (shown / "self/ns/pid").symlink_to("/proc/self/ns/pid")
    child, identity = started()
    monkeypatch.setattr("blocks.process.PROC", shown)
    assert not proven_dead(identity)
    child.kill()
    child.wait()
    assert proven_dead(identity)
