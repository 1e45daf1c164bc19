"""Prefect's own auth string: known to the gateway and to the stack's own processes, and new at each `up`."""

import base64
from pathlib import Path

from config.places import Places


class PrefectAuth:
    """The string as it stands in its file, read again where the file has changed."""

    def __init__(self, places: Places) -> None:
        self._file: Path | None = places.prefect_auth
        self._read_at: tuple[int, int] | None = None
        self._string: str | None = None

    def string(self) -> str | None:
        """`user:password`; None for a server of somebody else's that has none."""
        if self._file is None:
            return None
        try:
            stat = self._file.stat()
        except FileNotFoundError:
            # The stack is down, or on its way up: Prefect's server will say so.
            return None
        if self._read_at != (stat.st_mtime_ns, stat.st_ino):
            self._string = self._file.read_text(encoding="utf-8").strip()
            self._read_at = (stat.st_mtime_ns, stat.st_ino)
        return self._string

    def headers(self) -> dict[str, str]:
        """For a request."""
        string = self.string()
        return {"Authorization": f"Basic {base64.b64encode(string.encode()).decode()}"} if string else {}
