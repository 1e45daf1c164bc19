"""Who is who among the processes of this machine; a number alone is nobody, because numbers are used again."""

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from blocks.process import PROC, state_and_ticks
from deployments.local.environment import MARKER, marker

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """The process that has this number now; None if there is none."""
        stat = state_and_ticks(pid)
        return None if stat is None else cls(pid, stat[1])

    @property
    def alive(self) -> bool:
        """Whether it still runs; one that only waits to be reaped does not."""
        stat = state_and_ticks(self.pid)
        return stat is not None and stat[1] == self.start_ticks and stat[0] not in ("Z", "X")

    @property
    def started_at(self) -> float:
        """Unix time of its start."""
        return psutil.boot_time() + self.start_ticks / os.sysconf("SC_CLK_TCK")

    def send(self, how: signal.Signals) -> None:
        """Signal it, if it still is who we mean."""
        if self.alive:
            try:
                os.kill(self.pid, how)
            except ProcessLookupError:
                return


def of_stack(home: Path) -> list[Process]:
    """Every living process that a supervisor of this home started, runs of flows included; never the caller."""
    wanted = f"{MARKER}={marker(home)}".encode()
    found = (Process.of(pid) for pid, variables in _environments() if wanted in variables and pid != os.getpid())
    return [process for process in found if process is not None and process.alive]


def of_flow_runs() -> dict[str, Process]:
    """The process of each flow run on this machine, by the run's id."""
    found: dict[str, Process] = {}
    for pid, variables in _environments():
        for variable in variables:
            if variable.startswith(b"PREFECT__FLOW_RUN_ID="):
                process = Process.of(pid)
                if process is not None and process.alive:
                    found[variable.partition(b"=")[2].decode()] = process
    return found


def end(processes: Sequence[Process], patience_seconds: float, how: signal.Signals = signal.SIGTERM) -> None:
    """Ask them to end, wait, then kill the ones that did not; returns when none is left."""
    for process in processes:
        process.send(how)
    if not wait_for_end(processes, patience_seconds):
        for process in processes:
            process.send(signal.SIGKILL)
        wait_for_end(processes, patience_seconds)


def wait_for_end(processes: Iterable[Process], patience_seconds: float) -> bool:
    """Whether all of them ended in time."""
    deadline = time.monotonic() + patience_seconds
    left = list(processes)
    while left := [process for process in left if process.alive]:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _environments() -> Iterator[tuple[int, list[bytes]]]:
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                yield int(folder.name), (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue  # gone, or somebody else's
