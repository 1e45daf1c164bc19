"""What the supervisor must know of a process that it keeps alive."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Child:
    """One part of the stack that we start ourselves.

    `prepare` runs before each start and may block (first-time initialisation); `ready` is polled after the start
    and answers None once the part serves, else why not yet; `environment` is the whole environment of the process,
    nothing is inherited beside it; `folder` is where it works, the project where none is given.
    """

    name: str
    command: Sequence[str]
    address: str
    ready: Callable[[], str | None]
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    folder: Path | None = None
