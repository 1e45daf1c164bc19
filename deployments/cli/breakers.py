"""`vivesphere breakers`: what X takes nothing of for now, and why."""

from typing import Annotated, Any
from uuid import UUID

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.output import Json

COLUMNS = (
    ("id", "id"),
    ("over", "silenced"),
    ("cause", "cause"),
    ("evidence", "what X said"),
    ("since", "since"),
    ("until", "until"),
)


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="What X takes nothing of for now, and why.")
    app.command("list")(list_breakers)
    app.command()(close)
    program.add_typer(app, name="breakers")


def list_breakers(as_json: Json = False) -> None:
    """List the breakers that are open."""
    with api() as gateway:
        found = gateway.get("/breakers")
    if as_json:
        output.as_json(found)
        return
    output.table([_for_people(row) for row in found], COLUMNS, "X takes what it is sent: no breaker is open")


def close(
    breaker_id: UUID,
    reason: Annotated[str, typer.Option(help="What was put right; it goes to the audit.")],
    as_json: Json = False,
) -> None:
    """Let an app or a bot speak again."""
    with api() as gateway:
        closed = gateway.post(f"/breakers/{breaker_id}/close", {"reason": reason})
    if as_json:
        output.as_json(closed)
    else:
        output.say(f"closed: {closed['over']} speaks again; if X still says no, it opens anew")


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    until = output.local(row["ends_at"]) or "a person closes it"
    return {**row, "since": output.local(row["opened_at"]), "until": until}
