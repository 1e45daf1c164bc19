"""`vivesphere apps`: apps on X's developer platform."""

import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.failures import USAGE, CommandError
from deployments.cli.output import Json

COLUMNS = (
    ("name", "name"),
    ("stage", "stage"),
    ("use_case", "use case"),
    ("client_id", "client id"),
    ("redirect_uri", "redirect address"),
    ("monthly_budget_usd", "budget USD a month"),
)


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="Apps on X's developer platform.")
    app.command("list")(list_apps)
    app.command("add")(add)
    app.command()(budget)
    program.add_typer(app, name="apps")


def list_apps(as_json: Json = False) -> None:
    """List every app; secrets stay in the vault."""
    with api() as gateway:
        found = gateway.get("/apps")
    if as_json:
        output.as_json(found)
        return
    output.table(found, COLUMNS, "there are no apps: add one with `vivesphere apps add`")


def add(
    name: Annotated[str, typer.Option(help="What bot files call it.")],
    use_case: Annotated[str, typer.Option(help="What it is for; X allows one production app for each use case.")],
    client_id: Annotated[str, typer.Option(help="OAuth 2.0 client id of X's developer portal.")],
    production: Annotated[bool, typer.Option("--production", help="It posts to real people.")] = False,
    public: Annotated[bool, typer.Option("--public", help="It has no client secret.")] = False,
    redirect_uri: Annotated[
        str | None, typer.Option(help="As registered with X; left out: this gateway's own callback.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add an app, or change the one of this name; its secret is asked for, or read from the standard input."""
    body: dict[str, Any] = {
        "name": name,
        "use_case": use_case,
        "stage": "production" if production else "development",
        "client_id": client_id,
        "client_secret": None if public else _secret(),
        "redirect_uri": redirect_uri,
    }
    with api() as gateway:
        stored = gateway.post("/apps", body)
    if as_json:
        output.as_json(stored)
        return
    output.say(f"app {name} is stored; register {stored['redirect_uri']} as its callback address in X's portal")


def budget(
    name: Annotated[str, typer.Argument(help="The app.")],
    usd: Annotated[float | None, typer.Option(min=0, max=1_000_000, help="US dollars a month.")] = None,
    unlimited: Annotated[bool, typer.Option("--unlimited", help="No budget.")] = False,
) -> None:
    """Say what an app may cost in a calendar month; what does not fit waits."""
    if (usd is None) != unlimited:
        raise CommandError("say --usd with an amount, or --unlimited", USAGE)
    with api() as gateway:
        gateway.post(f"/apps/{quote(name, safe='')}/budget", {"monthly_usd": None if usd is None else str(usd)})
    output.say(f"app {name}: {'no budget' if usd is None else f'{usd} USD a month'}")


def _secret() -> str:
    """Never an argument: those stand in the process table and in the shell's history."""
    if sys.stdin.isatty():
        return str(typer.prompt("Client secret", hide_input=True))
    secret = sys.stdin.readline().strip()
    if not secret:
        raise CommandError("no client secret on the standard input: pipe it in, or say --public", USAGE)
    return secret
