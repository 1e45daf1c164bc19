"""Waiting for a condition, never for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.02


async def until(condition: Callable[[], Any | Awaitable[Any]], within_seconds: float = PATIENCE_SECONDS) -> Any:
    """What `condition` says once it says anything true; raises TimeoutError with its last word."""
    deadline = time.monotonic() + within_seconds
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {found!r} after {within_seconds} s")
        await asyncio.sleep(LOOK_SECONDS)
