"""`vivesphere logs`: who did what, what was refused, and what programs handed in."""

import time
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import typer

from deployments.cli import output
from deployments.cli.audit import Actor, Limit, Since, Until, instant
from deployments.cli.client import Api, api
from deployments.cli.output import Json

PAGE = 500
POLL_SECONDS = 1.0
OVERLAP = timedelta(seconds=10)
COLUMNS = (
    ("when", "when"),
    ("category", "category"),
    ("actor", "who"),
    ("action", "what"),
    ("subject", "which"),
    ("bot", "bot"),
    ("said", "said"),
)


def register(program: typer.Typer) -> None:
    """Add the command to the program."""
    program.command()(logs)


def logs(
    category: Annotated[
        Literal["activity", "security", "debug"] | None, typer.Option(help="Only this category.")
    ] = None,
    actor: Actor = None,
    subject: Annotated[str | None, typer.Option(help="Only of this thing; a * at the end stands for anything.")] = None,
    since: Since = None,
    until: Until = None,
    text: Annotated[str | None, typer.Option(help="Looked for in all of a line.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show what comes in, until interrupted.")] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Show who did what, what was refused and what programs handed in, the newest first."""
    wanted = {"category": category, "actor": actor, "subject": subject, "text": text}
    wanted |= {"since": instant("--since", since), "until": instant("--until", until)}
    with api() as gateway:
        found = _lines(gateway, wanted, limit)
        if follow:
            _follow(gateway, wanted, found, as_json)
    if as_json:
        output.as_json(found)
        return
    output.table([_row(line) for line in found], COLUMNS, "there are no such lines")


def _follow(gateway: Api, wanted: dict[str, Any], found: list[dict[str, Any]], as_json: bool) -> None:
    """Print lines as they come in, the oldest first; ends by an interrupt alone."""
    seen: set[tuple[str, int]] = set()
    while True:
        for line in reversed(found):
            if (line["origin"], line["id"]) not in seen:
                output.json_line(line) if as_json else output.say("  ".join(_cells(line)))
        if found:
            seen = {(line["origin"], line["id"]) for line in found}
            # A line shows once its transaction ends: we look back, but never behind what was shown.
            back = datetime.fromisoformat(found[0]["at"]) - OVERLAP
            wanted = {**wanted, "since": max(back, datetime.fromisoformat(found[-1]["at"])).isoformat()}
        time.sleep(POLL_SECONDS)
        found = _lines(gateway, wanted, 100_000)


def _lines(gateway: Api, wanted: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while len(found) < limit:
        page = gateway.get("/logs", **wanted, cursor=cursor, limit=min(PAGE, limit - len(found)))
        found += page["lines"]
        cursor = page["next"]
        if cursor is None:
            break
    return found


def _row(line: dict[str, Any]) -> dict[str, Any]:
    said = ", ".join(f"{name} {output.clean(value)}" for name, value in line["details"].items())
    return {**line, "when": output.local(line["at"]), "said": output.short(said)}


def _cells(line: dict[str, Any]) -> list[str]:
    row = _row(line)
    return [str(row[key]) for key, _ in COLUMNS if row[key]]
