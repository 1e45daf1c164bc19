"""`vivesphere up | down | status | doctor`: commands that touch files and processes of this machine, not the API."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from config import loading
from config.loading import SettingsError
from config.places import NotStartedError, Places
from deployments.local import doctor as examination
from deployments.local import stack
from deployments.local import status as parts
from deployments.local.layout import PortTakenError, StackBusyError
from deployments.local.registration import RegistrationError
from deployments.local.stack import StackFailedError

FAILED, USAGE = 1, 2
Register = Annotated[bool, typer.Option("--register", help="Undo what was changed on Prefect's server by hand.")]
NewAuth = Annotated[
    bool,
    typer.Option(
        "--new-prefect-auth", help="Give Prefect's server and worker another auth string; runs at work post on."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (up, down, status, doctor):
        app.command()(command)


def up(as_json: Json = False, register_again: Register = False, new_prefect_auth: NewAuth = False) -> None:
    """Start the stack and wait until all of it is healthy; harmless if it runs already."""
    began = time.time()
    with explained():
        places = stack.up(lambda line: typer.echo(line, err=True), register_again)
        if new_prefect_auth:
            stack.renew_prefect_auth(lambda line: typer.echo(line, err=True))
        found = parts.status(places)
    files = stack.sign_in_files(places)
    if as_json:
        typer.echo(_json({"parts": found, "sign_in_files": {door: str(path) for door, path in files.items()}}))
        return
    typer.echo("\n".join(parts.lines(found)))
    typer.echo(f"\nPrefect's pages, with our logins: {places.prefect_pages}")
    for door, path in files.items():
        typer.echo(f"sign-in for {door}: {path}")
    link = stack.new_link(places, began)
    if link:
        typer.echo(f"\nchoose the admin's password, once: {link}")


def down() -> None:
    """Stop the stack and everything it started."""
    with explained():
        was_up = stack.down(lambda line: typer.echo(line, err=True))
    typer.echo("the stack is stopped" if was_up else "the stack was not running")


def status(as_json: Json = False) -> None:
    """Show each part: state, process, address, uptime, version; exit 1 if one does not serve."""
    with explained():
        places = Places(loading.settings())
        found = parts.status(places)
    for line in parts.ignored_overrides(places, found):
        typer.echo(line, err=True)
    if as_json:
        typer.echo(_json(found))
    elif found:
        typer.echo("\n".join(parts.lines(found)))
        for finding in examination.backups(places):
            typer.echo(f"\n{finding.name}: {finding.said}")
        for part in found:
            if part.problem:
                typer.echo(f"{part.name}: {part.problem}", err=True)
    else:
        typer.echo(f"no stack runs in {places.home}: start it with `vivesphere up`", err=True)
    if not found or any(part.state not in ("up", "elsewhere") for part in found):
        raise typer.Exit(FAILED)


def doctor(as_json: Json = False) -> None:
    """Look for what is wrong and say how to put it right; exit 1 if there is something."""
    with explained():
        findings = examination.examine(Places(loading.settings()))
    if as_json:
        typer.echo(_json(findings))
    else:
        typer.echo("\n".join(examination.lines(findings)))
    if not all(finding.well for finding in findings):
        raise typer.Exit(FAILED)


@contextmanager
def explained() -> Iterator[None]:
    """What a person can put right is said in their words, without a traceback."""
    try:
        yield
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(USAGE) from error
    except (StackFailedError, StackBusyError, PortTakenError, NotStartedError, RegistrationError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from error


def _json(value: object) -> str:
    return json.dumps(value, default=asdict, indent=2)
