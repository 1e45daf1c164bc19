"""`vivesphere keys`: API keys of programs, such as workers and `prefect`."""

from datetime import datetime
from typing import Annotated

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.output import Json
from tasks.domain.roles import Role

COLUMNS = (
    ("name", "key"),
    ("role", "role"),
    ("label", "label"),
    ("used_at", "last used"),
    ("ends_at", "ends"),
    ("id", "id"),
)
Owner = Annotated[str | None, typer.Option("--user", help="Whose it is; left out: your own.")]


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="API keys of programs, such as workers and `prefect`.")
    app.command("list")(list_keys)
    for command in (create, rotate, revoke):
        app.command()(command)
    program.add_typer(app, name="keys")


def list_keys(user: Owner = None, as_json: Json = False) -> None:
    """List keys in force; their secrets are nowhere."""
    with api() as gateway:
        user_id = gateway.get(f"/users/{user}")["id"] if user else None
        found = gateway.get("/keys", user_id=user_id)
    if as_json:
        output.as_json(found)
        return
    rows = [
        {
            **key,
            "role": key["role"] or "its owner's",
            "label": key["label"] or "",
            "used_at": output.local(key["used_at"]) or "never",
            "ends_at": output.local(key["ends_at"]) or "never",
        }
        for key in found
    ]
    output.table(rows, COLUMNS, "there are no keys")


def create(
    name: Annotated[str, typer.Argument(help="What it is for; an older key of this name ends.")],
    user: Owner = None,
    role: Annotated[Role | None, typer.Option(help="Worth no more than this role.")] = None,
    label: Annotated[str | None, typer.Option(help="Worth nothing beyond bots with this label.")] = None,
    ends: Annotated[datetime | None, typer.Option(help="When it ends, in this machine's time zone.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, once: `<id>:<secret>`, for PREFECT_API_AUTH_STRING and `Authorization: Bearer`."""
    ends_at = ends.astimezone().isoformat() if ends else None
    with api() as gateway:
        user_id = gateway.get(f"/users/{user}")["id"] if user else None
        wanted = {"name": name, "role": role, "label": label, "ends_at": ends_at, "user_id": user_id}
        made = gateway.post("/keys", wanted)
    if as_json:
        output.as_json(made)
        return
    output.say(made["key"])


def rotate(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` prints it.")], as_json: Json = False
) -> None:
    """Make the next key for what this one is for, and print it, once; this one stays good for a while."""
    with api() as gateway:
        made = gateway.post(f"/keys/{key_id}/rotate", {})
    if as_json:
        output.as_json(made)
        return
    output.say(made["key"])


def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` prints it.")]) -> None:
    """End a key, at once."""
    with api() as gateway:
        gateway.delete(f"/keys/{key_id}")
    output.say("the key is revoked")
