"""`vivesphere metrics`: what posts and accounts achieved."""

from typing import Annotated, Any

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.output import Json

COLUMNS = (
    ("app", "app"),
    ("accounts", "accounts"),
    ("posts", "posts"),
    ("put_off", "wait for money"),
    ("calls", "requests"),
    ("usd", "USD"),
    ("allowance_usd", "USD left today"),
)
DEPLOYMENT = "collect-metrics/every-5-minutes"


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="What posts and accounts achieved.")
    app.callback()(lambda: None)  # one command of several to come: it keeps its name
    app.command()(collect)
    program.add_typer(app, name="metrics")


def collect(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many requests it would take and what they would cost, and stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read from X what is due now."""
    with api() as gateway:
        if not dry_run:
            started = gateway.post("/runs", {"deployment": DEPLOYMENT, "arguments": {}})
            output.as_json(started) if as_json else output.say(f"{started['deployment']} starts: {started['page']}")
            return
        found: dict[str, Any] = gateway.get("/metrics/plan")
    if as_json:
        output.as_json(found)
        return
    rows = [
        {**app, "app": app["app"] or "-", "allowance_usd": app["allowance_usd"] or "no budget"} for app in found["apps"]
    ]
    output.table(rows, COLUMNS, "nothing is due")
    output.say(f"at most {found['calls']} requests, {found['usd']} USD; nothing was read")
