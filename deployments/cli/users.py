"""`vivesphere users`: who may call us, and how one leaves."""

import sys
from typing import Annotated, Any

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.failures import USAGE, CommandError
from deployments.cli.output import Json

COLUMNS = (
    ("username", "user"),
    ("state", "state"),
    ("roles", "roles"),
    ("created_at", "since"),
)
Name = Annotated[str, typer.Argument(help="The user's name.")]
Typed = Annotated[bool, typer.Option("--type", help="Type the password here instead of giving the user a link.")]


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="Who may call us: add, look, let out.")
    app.command("list")(list_users)
    for command in (add, passwd, disable, enable, offboard):
        app.command()(command)
    program.add_typer(app, name="users")


def list_users(as_json: Json = False) -> None:
    """List users with the roles they hold now."""
    with api() as gateway:
        found = gateway.get("/users")
    if as_json:
        output.as_json(found)
        return
    rows = [
        {
            **user,
            "state": "disabled" if user["disabled_at"] else "active" if user["has_password"] else "no password",
            "roles": [_role(held) for held in user["roles"]],
            "created_at": output.local(user["created_at"]),
        }
        for user in found
    ]
    output.table(rows, COLUMNS, "there are no users")


def add(name: Name, typed: Typed = False, as_json: Json = False) -> None:
    """Add a user without any role; prints the link on which the user chooses a password, once."""
    body = {"username": name, "password": _password() if typed else None}
    with api() as gateway:
        added = gateway.post("/users", body)
    if as_json:
        output.as_json(added)
        return
    output.say(f"user {name} is added; `vivesphere roles assign {name} ROLE` says what for")
    _tell_link(added)


def passwd(name: Name, typed: Typed = False, as_json: Json = False) -> None:
    """Print a link on which a user chooses another password, or type one; then every session of the user's ends."""
    body = {"password": _password() if typed else None}
    with api() as gateway:
        done = gateway.post(f"/users/{name}/password", body)
    if as_json:
        output.as_json(done)
        return
    if done["link"] is None:
        output.say(f"the password of {name} is changed; sessions ended: {done['sessions_ended']}")
    _tell_link(done)


def disable(name: Name, as_json: Json = False) -> None:
    """Let a user in no more: sessions end, keys sleep; `enable` takes it back."""
    with api() as gateway:
        done = gateway.post(f"/users/{name}/disable")
    if as_json:
        output.as_json(done)
        return
    output.say(f"{name} gets in no more; sessions ended: {done['sessions_ended']}")


def enable(name: Name) -> None:
    """Let a user in again, with the roles held."""
    with api() as gateway:
        gateway.post(f"/users/{name}/enable")
    output.say(f"{name} gets in again")


def offboard(name: Name, as_json: Json = False) -> None:
    """Let a user go: sessions, links, keys, roles and password end for good; says what ended."""
    with api() as gateway:
        ended = gateway.post(f"/users/{name}/offboard")
    if as_json:
        output.as_json(ended)
        return
    output.say(f"{name} is gone")
    output.say(f"sessions ended: {ended['sessions']}; links: {ended['links']}")
    if ended["approvals"]:
        output.say(f"posts that waited for an approval and do not go out: {ended['approvals']}")
    output.say(f"keys ended: {', '.join(ended['keys']) or 'none'}")
    output.say(f"roles ended: {', '.join(map(_role, ended['roles'])) or 'none'}")
    if ended["bots"]:
        output.say(f"still owns: {', '.join('@' + bot for bot in ended['bots'])}")


def _role(held: dict[str, Any]) -> str:
    return f"{held['role']} for {held['label']}" if held["label"] else str(held["role"])


def _tell_link(answer: dict[str, Any]) -> None:
    if answer["link"]:
        output.say(f"good once, until {output.local(answer['link']['expires_at'])}: {answer['link']['url']}")


def _password() -> str:
    """Never an argument: those stand in the process table and in the shell's history."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise CommandError("no password on the standard input: pipe it in, or leave --type out", USAGE)
    return password
