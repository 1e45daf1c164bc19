"""One measured figure beside its limit from the same run."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """`ours` and `limit` are medians in `unit`; `limit` is None where the goal is a number of its own."""

    name: str
    ours: float
    limit: float | None
    unit: str
    goal: str
    beside: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the limit."""
        return None if self.limit is None else self.ours / self.limit

    def record(self) -> dict[str, Any]:
        """As it stands in build/bench.json."""
        return {**asdict(self), "ratio": self.ratio}
