"""Watches the parts for the supervisor, and has operators told of one that does not come up again."""

import subprocess  # nosec B404
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from config.loading import APP_ROOT
from config.places import Places
from deployments.local import environment, log_files
from deployments.local.board import PartNote, say

# A part that was started again so often within this time is told of too, although it is up at this very moment.
RESTARTS_MAX = 5
RESTARTS_SECONDS = 600.0

Tell = Callable[[str, str], None]


@dataclass
class Watchman:
    """What was seen of each part, and what operators were told of it; told once, and again after the next recovery."""

    patience_seconds: float
    tell: Tell
    clock: Callable[[], float] = time.monotonic
    _down_since: dict[str, float] = field(default_factory=dict)
    _restarts: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def look(self, parts: Mapping[str, PartNote]) -> None:
        """Judge the parts as they stand now; those that are done once and for all are none."""
        for name, part in parts.items():
            if part.state not in ("waiting", "done", "stopped"):
                self._judge(name, part)

    def _judge(self, name: str, part: PartNote) -> None:
        now = self.clock()
        restless = self._is_restless(name, part.restarts, now)
        down_for = 0.0
        if part.state == "up" and part.process is not None and part.process.alive:
            self._down_since.pop(name, None)
            if not restless:
                self._told.discard(name)
        else:
            down_for = now - self._down_since.setdefault(name, now)
        if name not in self._told and (restless or down_for >= self.patience_seconds):
            self._told.add(name)
            self.tell(name, _said(name, part, down_for, restless))

    def _is_restless(self, name: str, restarts: int, now: float) -> bool:
        seen = [one for one in self._restarts.get(name, []) if now - one[0] <= RESTARTS_SECONDS]
        if not seen or seen[-1][1] != restarts:
            seen.append((now, restarts))
        self._restarts[name] = seen
        return restarts - seen[0][1] >= RESTARTS_MAX


def _said(name: str, part: PartNote, down_for: float, restless: bool) -> str:
    if restless:
        return f"{name} was started again {RESTARTS_MAX} times and more within {RESTARTS_SECONDS / 60:.0f} minutes."
    return f"{name} has been {part.state} for {down_for:.0f} s; it was started again {part.restarts} times."


def by_process(places: Places) -> Tell:
    """Tell in a process of its own, which nobody waits for: what it says stands in the log `alarm.log`."""

    def tell(part: str, said: str) -> None:
        say(f"operators are told: {said}")
        with open(log_files.opened(places.logs / "alarm.log"), "ab") as output:
            subprocess.Popen(  # noqa: S603  # nosec B603
                [sys.executable, "-m", "deployments.local.alarm", part, said],
                env=environment.own(places, "reader"),
                cwd=APP_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    return tell
