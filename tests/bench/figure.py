"""One measured figure beside its limit from the same run."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """`ours` and `limit` are medians in `unit`; `limit` is None where the goal is a number of its own.

    What stands `beside` it is in `unit` too, save where `units` says otherwise.
    """

    name: str
    ours: float
    limit: float | None
    unit: str
    goal: str
    beside: dict[str, float] = field(default_factory=dict)
    note: str = ""
    units: dict[str, str] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Ours over the limit."""
        return None if self.limit is None else self.ours / self.limit

    def rows_beside(self) -> list[tuple[str, float, str]]:
        """Name, value and unit of what stands beside it."""
        return [(name, value, self.units.get(name, self.unit)) for name, value in self.beside.items()]

    def record(self) -> dict[str, Any]:
        """As it stands in build/bench.json."""
        return {**asdict(self), "ratio": self.ratio}
