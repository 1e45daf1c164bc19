"""`vivesphere sandbox faults`: what breaks, switched on and off."""

from typing import Annotated

import typer

from deployments.cli import output
from deployments.cli.output import Json
from deployments.cli.sandbox_client import control

COLUMNS = (
    ("id", "id"),
    ("fault", "fault"),
    ("when", "when"),
    ("endpoint", "endpoint"),
    ("account", "account"),
    ("probability", "probability"),
    ("count", "left"),
)


def register(sandbox: typer.Typer) -> None:
    """Add the commands to the group."""
    app = typer.Typer(help="What breaks: list it, switch it on, switch it off.")
    app.callback(invoke_without_command=True)(listed)
    app.command()(on)
    app.command()(off)
    sandbox.add_typer(app, name="faults")


def listed(context: typer.Context, as_json: Json = False) -> None:
    """What breaks: list it, switch it on, switch it off."""
    if context.invoked_subcommand is not None:
        return
    with control(context.obj) as sandbox:
        rules = sandbox.get("/faults")
    if as_json:
        output.as_json(rules)
        return
    rows = [{**rule, "fault": _named(rule["fault"], rule["problem"])} for rule in rules]
    output.table(rows, COLUMNS, "no fault is on: this X is well")


def on(
    context: typer.Context,
    fault: Annotated[str, typer.Argument(help="Such as drop, freeze, error or problem; see the reference page.")],
    when: Annotated[str, typer.Option(help="before X accepts, or after.")] = "before",
    endpoint: Annotated[str | None, typer.Option(help='Only this one, such as "POST /2/tweets".')] = None,
    account: Annotated[str | None, typer.Option(help="Only requests of this username.")] = None,
    probability: Annotated[float, typer.Option(help="Of each request, from 0 to 1.")] = 1,
    count: Annotated[int | None, typer.Option(help="Off by itself after so many strikes.")] = None,
    milliseconds: Annotated[float | None, typer.Option(help="Of a delay, or for each byte of a drip.")] = None,
    status: Annotated[int | None, typer.Option(help="Of an error or an HTML page.")] = None,
    problem: Annotated[str | None, typer.Option(help="Which refusal of X, such as credits-depleted.")] = None,
    reset_seconds: Annotated[float | None, typer.Option(help="When a problem's headers say the limit ends.")] = None,
) -> None:
    """Switch a fault on."""
    wanted = {
        "fault": fault,
        "when": when,
        "endpoint": endpoint,
        "account": account,
        "probability": probability,
        "count": count,
        "milliseconds": milliseconds,
        "status": status,
        "problem": problem,
        "reset_seconds": reset_seconds,
    }
    with control(context.obj) as sandbox:
        rule = sandbox.post("/faults", {name: value for name, value in wanted.items() if value is not None})
    output.say(f"fault {rule['id']} is on: {_named(rule['fault'], rule['problem'])} {rule['when']} accepting")


def off(
    context: typer.Context,
    number: Annotated[int | None, typer.Argument(help="Its id; left out, all of them.")] = None,
) -> None:
    """Switch one fault off, or all."""
    with control(context.obj) as sandbox:
        left = sandbox.delete("/faults" if number is None else f"/faults/{number}")
    output.say(f"off; still on: {len(left)}")


def _named(fault: str, problem: str) -> str:
    return f"problem {problem}" if fault == "problem" else fault
