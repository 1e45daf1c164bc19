"""`vivesphere spend`: what a month has cost and will cost."""

from decimal import Decimal
from typing import Annotated, Any

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.failures import USAGE, CommandError
from deployments.cli.output import Json

KINDS = ("app", "label", "bot", "kind")
COLUMNS = (
    ("name", "name"),
    ("booked_usd", "booked USD"),
    ("scheduled", "scheduled"),
    ("forecast_usd", "forecast USD"),
    ("budget_usd", "budget USD"),
)


def register(program: typer.Typer) -> None:
    """Add the command to the program."""
    program.command()(spend)


def spend(
    by: Annotated[str, typer.Option(help="app, label, bot or kind.")] = "app",
    month: Annotated[str | None, typer.Option(help="A month as 2026-12; left out: this one.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a month has cost, and what it will have cost once everything scheduled is out."""
    if by not in KINDS:
        raise CommandError(f"--by: write one of {', '.join(KINDS)}", USAGE)
    with api() as gateway:
        found: dict[str, Any] = gateway.get("/spend", by=by, month=f"{month}-01" if month else None)
    if as_json:
        output.as_json(found)
        return
    output.table([_for_people(line) for line in found["lines"]], COLUMNS, "nothing was spent and nothing is scheduled")
    output.say(
        f"{found['month'][:7]}: booked {_usd(found['booked_usd'])} USD, forecast {_usd(found['forecast_usd'])} USD"
        f" (prices of {found['prices_read_on']})"
    )


def _for_people(line: dict[str, Any]) -> dict[str, Any]:
    return {**line, **{key: _usd(line[key]) for key in ("booked_usd", "forecast_usd", "budget_usd")}}


def _usd(amount: str | None) -> str | None:
    return None if amount is None else f"{Decimal(amount):.3f}"
