"""How messages to operators may go out."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from blocks.web import Reach


@dataclass(frozen=True)
class Way:
    """`allowed` hosts are told wherever they are, at any port and without TLS; a try is given up after `seconds`."""

    allowed: frozenset[str]
    seconds: float
    ca_file: Path | None = None

    def reach(self, ports: Collection[int]) -> Reach:
        """Who may be reached."""
        return Reach(ports, self.allowed)

    def allows(self, host: str, port: int) -> bool:
        """Whether a setting names this host."""
        return self.reach(()).allows(host, port)
