"""`vivesphere settings`: what is in force while the stack runs, who changed it, and back."""

import json
from typing import Annotated, Any

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.failures import USAGE, CommandError
from deployments.cli.output import Json

COLUMNS = (("key", "setting"), ("value", "value"), ("mark", "kind"), ("where", "comes from"))
CHANGES = (
    ("revision", "revision"),
    ("key", "setting"),
    ("old", "old"),
    ("new", "new"),
    ("actor", "who"),
    ("when", "when"),
    ("reason", "why"),
)
Reason = Annotated[str | None, typer.Option(help="Why; policy is changed with a reason alone.")]
IfRevision = Annotated[int | None, typer.Option(help="Only if the settings still stand at this revision.")]


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(
        no_args_is_help=True, help="Settings while the stack runs: look, change, who changed what, take back."
    )
    app.command()(show)
    app.command("set")(set_value)
    app.command()(history)
    app.command()(rollback)
    program.add_typer(app, name="settings")


def show(
    service: Annotated[str | None, typer.Argument(help="Such as posting; left out: all.")] = None,
    as_json: Json = False,
) -> None:
    """Show what is in force, where each value comes from, and overrides that this release does not take."""
    with api() as gateway:
        found = gateway.get("/config/settings", service_name=service)
    if as_json:
        output.as_json(found)
        return
    output.table([{**row, "value": _plain(row["value"])} for row in found["settings"]], COLUMNS, "")
    for line in found["ignored"]:
        output.say(line)
    output.say(f"revision {found['revision']}")


def set_value(
    key: Annotated[str, typer.Argument(help="Dotted, such as posting.batch.")],
    value: Annotated[str | None, typer.Argument(help="The value to set.")] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Take the override away.")] = False,
    reason: Reason = None,
    if_revision: IfRevision = None,
) -> None:
    """Change one setting; running processes take it over within ten seconds."""
    if (value is None) != unset:
        raise CommandError("say a value, or --unset", USAGE)
    body = {"settings_data": {key: None if value is None else _typed(value)}, "reason": reason}
    with api() as gateway:
        done = gateway.post("/config/update", body, revision=if_revision)
    output.say(f"{key}: {'no override' if unset else value}, revision {done['revision']}")


def history(
    service: Annotated[str | None, typer.Argument(help="Such as posting; left out: all.")] = None,
    as_json: Json = False,
) -> None:
    """Show who changed what, when and why, from the newest downwards."""
    with api() as gateway:
        found = gateway.get("/config/history", service_name=service)
    if as_json:
        output.as_json(found)
        return
    rows = [
        {**row, "old": _plain(row["old"]), "new": _plain(row["new"]), "when": output.local(row["at"])} for row in found
    ]
    output.table(rows, CHANGES, "nobody has changed a setting")


def rollback(
    revision: Annotated[int, typer.Argument(help="Whose values are to be in force again; 0: no override.")],
    reason: Reason = None,
    if_revision: IfRevision = None,
) -> None:
    """Go back to what was in force at a revision; that is a new revision."""
    with api() as gateway:
        done = gateway.post("/config/rollback", {"revision": revision, "reason": reason}, revision=if_revision)
    output.say(f"as at revision {revision} again, which is revision {done['revision']} now")


def _plain(value: Any) -> str:
    return "not set" if value is None else str(value)


def _typed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
