"""`vivesphere roles`: who is bound to which role, for what, until when."""

from datetime import datetime
from typing import Annotated

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.output import Json
from tasks.domain.roles import Role

COLUMNS = (("username", "user"), ("role", "role"), ("label", "label"), ("ends_at", "ends"))
User = Annotated[str, typer.Argument(help="The user's name.")]
Wanted = Annotated[Role, typer.Argument(help="What the user may do; see docs/reference/roles.md.")]
Label = Annotated[str | None, typer.Option(help="Only for bots with this label; left out: for everything.")]


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="Who is bound to which role, for what, until when.")
    app.command("list")(list_roles)
    for command in (assign, revoke):
        app.command()(command)
    program.add_typer(app, name="roles")


def list_roles(
    user: Annotated[str | None, typer.Option(help="Only of this user.")] = None, as_json: Json = False
) -> None:
    """List who holds which role; ended ones among them."""
    with api() as gateway:
        user_id = gateway.get(f"/users/{user}")["id"] if user else None
        found = gateway.get("/roles", user_id=user_id)
    if as_json:
        output.as_json(found)
        return
    rows = [
        {**one, "label": one["label"] or "everything", "ends_at": output.local(one["ends_at"]) or "never"}
        for one in found
    ]
    output.table(rows, COLUMNS, "nobody holds a role")


def assign(
    user: User,
    role: Wanted,
    label: Label = None,
    ends: Annotated[
        datetime | None, typer.Option(help="When it ends by itself, in this machine's time zone; left out: never.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bind a user to a role, or change when that ends."""
    ends_at = ends.astimezone().isoformat() if ends else None
    with api() as gateway:
        user_id = gateway.get(f"/users/{user}")["id"]
        wanted = {"user_id": user_id, "role": role, "label": label, "ends_at": ends_at}
        bound = gateway.post("/roles/assign", wanted)
    if as_json:
        output.as_json(bound)
        return
    until = f", until {output.local(bound['ends_at'])}" if bound["ends_at"] else ""
    output.say(f"{user} is {role} for {label or 'everything'}{until}")


def revoke(user: User, role: Wanted, label: Label = None) -> None:
    """Take a role from a user, at once."""
    with api() as gateway:
        user_id = gateway.get(f"/users/{user}")["id"]
        gateway.post("/roles/revoke", {"user_id": user_id, "role": role, "label": label})
    output.say(f"{user} is {role} for {label or 'everything'} no more")
