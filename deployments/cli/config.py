"""`vivesphere config`: the settings of this machine, and where each value comes from."""

from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr

from config import loading
from config.settings import Settings
from deployments.cli import output
from deployments.cli.output import Json

COLUMNS = (("setting", "setting"), ("value", "value"), ("where", "comes from"))


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="The settings, and where each value comes from.")
    app.command()(show)
    # A group of one command would else be that command.
    app.callback()(lambda: None)
    program.add_typer(app, name="config")


def show(as_json: Json = False) -> None:
    """Print every setting with its value and its origin; secrets are in files, of which the path alone is shown."""
    loaded = loading.load()
    rows: list[dict[str, Any]] = []
    for key, field in loading.fields(Settings):
        origin = loaded.origin(key)
        extra = field.json_schema_extra
        rows.append(
            {
                "setting": key,
                "value": _plain(_value(loaded.settings, key)),
                "origin": origin.kind,
                "where": origin.where,
                "mark": extra.get("mark") if isinstance(extra, dict) else None,
                "description": field.description,
            }
        )
    if as_json:
        output.as_json(rows)
        return
    output.table([{**row, "value": "not set" if row["value"] is None else row["value"]} for row in rows], COLUMNS, "")


def _value(settings: Settings, key: str) -> Any:
    found: Any = settings
    for name in key.split("."):
        found = getattr(found, name)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "[hidden]"
    return str(value) if isinstance(value, Path) else value
