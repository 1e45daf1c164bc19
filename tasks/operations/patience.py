"""What passes by itself, and how long to wait before it is tried again."""

import time
from collections.abc import Iterator
from itertools import count

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from blocks.vault.errors import VaultError

# The database or the vault is away, or a lock was held too long. A defect of ours is none of these: it must be seen.
PASSING = (OperationalError, InterfaceError, PoolTimeoutError, OSError, VaultError)

FIRST_SECONDS, MOST_SECONDS = 0.05, 2.0
TRIES = 5


def ticks() -> float:
    """Seconds of the clock that runs on while the machine sleeps; the others stand still then."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def pauses(endless: bool = False) -> Iterator[float]:
    """Growing waits between tries, in seconds; five of them unless `endless`."""
    pause = FIRST_SECONDS
    for _ in count() if endless else range(TRIES):
        yield pause
        pause = min(pause * 2, MOST_SECONDS)
