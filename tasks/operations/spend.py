"""Spend: what a month has cost, and what it will have cost once everything scheduled is out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from typing import Literal

from tasks.connections import Connections
from tasks.operations import governor
from tasks.store import base, spend, x_apps
from tasks.store.spend import Spent

By = Literal["app", "label", "bot", "kind"]
NOBODY = "-"


@dataclass(frozen=True)
class Line:
    """One app, label, bot or kind: `booked_usd` is spent or reserved, `forecast_usd` adds what is scheduled.

    A bot with two labels stands in both; `budget_usd` is an app's for a month.
    """

    name: str
    booked_usd: Decimal
    forecast_usd: Decimal
    scheduled: int
    budget_usd: Decimal | None = None


@dataclass(frozen=True)
class Month:
    """A month in lines, and as a whole."""

    month: date
    prices_read_on: date
    lines: Sequence[Line]
    booked_usd: Decimal
    forecast_usd: Decimal


async def month(at: Connections, first: date | None, by: By, labels: frozenset[str] | None) -> Month:
    """A month (absent: this one) by app, label, bot or kind, over bots that bear one of `labels` (None: all)."""
    prices = governor.tables(at).prices
    async with at.transaction() as session:
        now = await base.now(session)
        first = (first or now.astimezone(UTC).date()).replace(day=1)
        rows = await spend.month(session, first, None if labels is None else sorted(labels))
        budgets = {app.name: app.monthly_budget_usd for app in await x_apps.list_all(session)}
    usd = dict(prices.usd)

    def forecast(row: Spent) -> Decimal:
        return row.usd + row.scheduled * usd[row.kind]  # type: ignore[index]  # the table's words are these kinds

    names: dict[By, Callable[[Spent], Iterable[str]]] = {
        "app": lambda row: [row.app or NOBODY],
        "label": lambda row: row.labels or [NOBODY],
        "bot": lambda row: [row.bot or NOBODY],
        "kind": lambda row: [row.kind],
    }
    found: dict[str, list[Spent]] = {}
    for row in rows:
        for name in names[by](row):
            found.setdefault(name, []).append(row)
    lines = [
        Line(
            name,
            sum((row.usd for row in group), Decimal(0)),
            sum(map(forecast, group), Decimal(0)),
            sum(row.scheduled for row in group),
            budgets.get(name) if by == "app" else None,
        )
        for name, group in sorted(found.items())
    ]
    return Month(
        first,
        prices.read_on,
        lines,
        sum((row.usd for row in rows), Decimal(0)),
        sum(map(forecast, rows), Decimal(0)),
    )
