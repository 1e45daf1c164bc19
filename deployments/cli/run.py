"""`vivesphere run`: start a run of a deployment."""

import json
from typing import Annotated, Any

import typer

from deployments.cli import output
from deployments.cli.client import api, wait_for_run
from deployments.cli.failures import FAILED, USAGE, CommandError
from deployments.cli.output import Json


def register(program: typer.Typer) -> None:
    """Add the command to the program."""
    program.command()(run)


def run(
    deployment: Annotated[str, typer.Argument(help="flow/deployment, or a flow that has one deployment only.")],
    arguments: Annotated[str, typer.Option(help="A JSON object, for flows that take arguments.")] = "{}",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end; exit 1 unless it completed.")] = False,
    as_json: Json = False,
) -> None:
    """Start a run of a deployment, such as publish-due-posts."""
    with api() as gateway:
        started = gateway.post("/runs", {"deployment": deployment, "arguments": _object(arguments)})
        if not wait:
            _tell(as_json, started, f"{started['deployment']} starts: {started['page']}")
            return
        if not as_json:
            output.say(f"{started['deployment']} starts: {started['page']}")
        ended = wait_for_run(gateway, started["flow_run_id"])
    _tell(as_json, {**started, "run": ended}, f"{ended['name']}: {ended['state']} {ended['message'] or ''}".rstrip())
    if ended["state"] != "completed":
        raise typer.Exit(FAILED)


def _tell(as_json: bool, value: Any, line: str) -> None:
    if as_json:
        output.as_json(value)
    else:
        output.say(line)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CommandError(f"--arguments: not valid JSON: {error}", USAGE) from None
    if not isinstance(found, dict):
        raise CommandError('--arguments: write a JSON object, such as \'{"handles": ["city_weather"]}\'', USAGE)
    return found
