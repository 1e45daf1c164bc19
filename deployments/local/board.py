"""What the supervisor tells the other programs: one small file, written by it alone."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from deployments.local import layout
from deployments.local.processes import Process

Phase = Literal["starting", "up", "failed", "stopping"]
PartState = Literal["waiting", "starting", "up", "done", "restarting", "failed", "stopped"]


@dataclass(frozen=True)
class PartNote:
    """How it stands with one part; a step has no process."""

    state: PartState = "waiting"
    address: str = ""
    process: Process | None = None
    restarts: int = 0
    took_seconds: float | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Note:
    """How it stands with the stack."""

    supervisor: Process
    phase: Phase = "starting"
    problem: str | None = None
    parts: dict[str, PartNote] = field(default_factory=dict)


def path(home: Path) -> Path:
    """The file."""
    return home / "run" / "stack.json"


def read(home: Path) -> Note | None:
    """The last note; None if no supervisor ever wrote one here or the stack was stopped in order."""
    try:
        data: dict[str, Any] = json.loads(path(home).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    parts = {name: PartNote(**{**part, "process": _process(part["process"])}) for name, part in data["parts"].items()}
    return Note(Process(**data["supervisor"]), data["phase"], data["problem"], parts)


def _process(data: dict[str, int] | None) -> Process | None:
    return Process(**data) if data else None


class Board:
    """The supervisor's own copy; its threads change it, each change is written."""

    def __init__(self, home: Path, supervisor: Process) -> None:
        self._home = home
        self._note = Note(supervisor)
        self._lock = threading.Lock()

    @property
    def note(self) -> Note:
        """As it stands now."""
        return self._note

    def phase(self, phase: Phase, problem: str | None = None) -> None:
        """The stack as a whole went on; the first problem stays."""
        with self._changing():
            self._note = replace(self._note, phase=phase, problem=self._note.problem or problem)

    def part(self, name: str, **change: Any) -> None:
        """One part went on; fields that are not named stay."""
        with self._changing():
            known = self._note.parts.get(name, PartNote())
            self._note = replace(self._note, parts={**self._note.parts, name: replace(known, **change)})

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            yield
            layout.write_private(path(self._home), json.dumps(asdict(self._note)))


def say(text: str) -> None:
    """A line in the supervisor's log."""
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}", flush=True)
