"""The log file of each child: written by the child itself, kept small by the supervisor."""

import os
import shutil
from pathlib import Path

TAIL_BYTES = 4_000


def opened(path: Path) -> int:
    """A descriptor to append to, for a child's output.

    No pipe to the supervisor: a child that outlives a killed supervisor must not die of writing to nobody.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate(path: Path, most_bytes: int, kept: int) -> None:
    """Copy a full log to `<name>.1` and cut it; lines written between the two steps are lost.

    Renaming would lose none, but the child would go on writing to the renamed file.
    """
    if not path.exists() or path.stat().st_size < most_bytes:
        return
    for at in range(kept - 1, 0, -1):
        older = path.with_name(f"{path.name}.{at}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{at + 1}"))
    shutil.copy(path, path.with_name(f"{path.name}.1"))  # with its mode: for the owner alone
    os.truncate(path, 0)


def tail(path: Path, lines: int = 5) -> str:
    """The last lines, for a message to a person."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
