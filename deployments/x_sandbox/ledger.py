"""The append-only record of what this X accepted: it judges our tests and rebuilds the sandbox after a restart."""

import fcntl
import json
import os
from array import array
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

Entry = dict[str, Any]

SCAN_BYTES = 1 << 20
KIND_PART = 5
"""Where `{"seq":1,"kind":"create",...` has its kind when cut at the quotes; parsing each line twice would be slow."""


class LedgerBusy(Exception):
    """Another sandbox holds this ledger."""


class Ledger:
    """JSON lines in one file, each handed to the operating system before its request is answered.

    A kill -9 therefore loses nothing that was acknowledged; losing the machine may (there is no fsync). A line that
    was cut short by a crash is dropped at the next start. `fresh` empties the file. Raises LedgerBusy.
    """

    def __init__(self, path: Path, fresh: bool = False) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise LedgerBusy(f"{path} belongs to a sandbox that is running; give this one another --folder") from error
        if fresh:
            os.ftruncate(self._file, 0)
        self._ends = array("Q", [0])
        self._kinds: list[str] = []
        self._index()

    @property
    def last_seq(self) -> int:
        """Number of the newest entry, 0 when there is none."""
        return len(self._kinds)

    def append(self, kind: str, fields: Entry) -> Entry:
        """Write one entry and give it back with its number. Raises OSError, and then nothing was written."""
        entry = {"seq": self.last_seq + 1, "kind": kind, **fields}
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        end = self._ends[-1]
        try:
            written = os.write(self._file, line)
        except OSError:
            os.ftruncate(self._file, end)
            raise
        if written != len(line):
            os.ftruncate(self._file, end)
            raise OSError("the ledger's disk is full")
        self._ends.append(end + written)
        self._kinds.append(kind)
        return entry

    def replay(self) -> Iterator[Entry]:
        """Every entry since the first."""
        for line in self.lines(after=0, limit=self.last_seq):
            yield json.loads(line)

    def lines(self, after: int, limit: int, kinds: Collection[str] = ()) -> Iterator[bytes]:
        """JSON of up to `limit` entries that follow number `after`, of these kinds or of all."""
        for seq in range(after, self.last_seq):
            if limit <= 0:
                return
            if not kinds or self._kinds[seq] in kinds:
                start = self._ends[seq]
                yield os.pread(self._file, self._ends[seq + 1] - start - 1, start)
                limit -= 1

    def close(self) -> None:
        """Give the file back; the operating system already has every line."""
        os.close(self._file)

    def _index(self) -> None:
        with open(self._file, "rb", closefd=False, buffering=SCAN_BYTES) as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self._ends.append(self._ends[-1] + len(line))
                self._kinds.append(line.split(b'"', 6)[KIND_PART].decode())
        os.ftruncate(self._file, self._ends[-1])
