"""Folders that no write to the disk holds up."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108


@contextmanager
def memory_folder(prefix: str) -> Iterator[Path]:
    """A folder in memory where this machine has such a place, else a temporary one; gone with the block."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)
