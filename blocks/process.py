"""Who this process is to the kernel, and whether another one is proven dead."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
# Zombie and dead, in the letters of /proc.
ENDED = ("Z", "X")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process among all that ever were: a pid comes back, the tick it started at on this boot does not."""

    host: str
    boot_id: str
    pid_namespace: int
    pid: int
    start_ticks: int


def this_process() -> ProcessIdentity:
    """The identity of the caller."""
    pid = os.getpid()
    found = state_and_ticks(pid)
    if found is None:
        raise RuntimeError("/proc does not show this process; senders need Linux with /proc mounted")
    return ProcessIdentity(socket.gethostname(), _boot_id(), _namespace(), pid, found[1])


def can_judge(other: ProcessIdentity) -> bool:
    """True inside the same pid namespace alone: two containers on one host share the boot and not the pids."""
    return other.host == socket.gethostname() and other.pid_namespace == _namespace()


def proven_dead(other: ProcessIdentity) -> bool:
    """True only where the kernel says so: another boot, no such pid, another start, or a zombie without threads."""
    if not can_judge(other):
        return False
    if other.boot_id != _boot_id():
        return True
    found = state_and_ticks(other.pid)
    if found is None:
        return not _exists(other.pid)
    return found[1] != other.start_ticks or (found[0] in ENDED and _has_ended(other.pid))


def _boot_id() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _namespace() -> int:
    return (PROC / "self/ns/pid").stat().st_ino


def _exists(pid: int) -> bool:
    """Asked past /proc, which may be mounted so that it hides the processes of other users."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _has_ended(pid: int) -> bool:
    """False while a thread lives on: a zombie may be the first thread alone, and the others still write."""
    try:
        threads = [int(thread.name) for thread in (PROC / str(pid) / "task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return not _exists(pid)
    found = [_read(PROC / str(pid) / "task" / str(thread) / "stat") for thread in threads]
    return all(state is None or state[0] in ENDED for state in found)


def state_and_ticks(pid: int) -> tuple[str, int] | None:
    """State letter and start time in ticks since boot of the process with this number now; None if there is none."""
    return _read(PROC / str(pid) / "stat")


def _read(stat: Path) -> tuple[str, int] | None:
    try:
        line = stat.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in brackets may hold anything, brackets and blanks too: what follows the last one is regular.
    state, *rest = line.rpartition(")")[2].split()
    return state, int(rest[18])
