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
    """List the breakers that are open, and what X says where it is asked again."""
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
    """Have X asked now whether it takes an app or a bot again; once it does, their posts go out."""
    with api() as gateway:
        closed = gateway.post(f"/breakers/{breaker_id}/close", {"reason": reason})
    if as_json:
        output.as_json(closed)
    else:
        output.say(
            f"X is asked for {closed['over']} by the next run; once it answers well the posts go out. "
            "`vivesphere breakers list` shows what it says"
        )


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    until = "X says yes" if row["half_open"] else output.local(row["ends_at"]) or "a person closes it"
    said = f"; asked again: {row['probe_said']}" if row["probe_said"] else ""
    return {**row, "since": output.local(row["opened_at"]), "until": until, "evidence": row["evidence"] + said}
