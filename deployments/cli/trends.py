"""`vivesphere trends`: what rises on other people's lists, and how these sources stand."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.output import Json

RISING_COLUMNS = (("shown", "trend"), ("score", "score"), ("since", "rises since"), ("why", "why"), ("on", "on"))
PICK_COLUMNS = (("shown", "trend"), ("score", "score"), ("why", "why"), ("url", "address"))
PART_COLUMNS = (("name", "part"), ("points", "points"), ("said", "why"))
STOOD_COLUMNS = (("at", "at"), ("source", "source"), ("shown", "as"), ("place", "place"), ("volume", "volume"))
SOURCE_COLUMNS = (
    ("source", "source"),
    ("health", "health"),
    ("good", "last good"),
    ("rows", "rows"),
    ("next", "next due"),
    ("reason", "reason"),
)


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="What rises on other people's lists, and how its sources stand.")
    for command in (rising, show, sources):
        app.command()(command)
    app.command("for")(for_bot)
    program.add_typer(app, name="trends")


def rising(
    everything: Annotated[bool, typer.Option("--all", help="What does not rise as well.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """Show what rises, the strongest first, and what each score is made of."""
    with api() as gateway:
        found = gateway.get("/trends", rising=not everything, limit=limit)
    if as_json:
        output.as_json(found)
        return
    rows = [
        {
            **one,
            "score": f"{one['score']:.1f}",
            "since": output.local(one["rising_since"]),
            "why": "; ".join(part["said"] for part in one["parts"]),
            "on": ", ".join(one["sources"]),
        }
        for one in found
    ]
    output.table(rows, RISING_COLUMNS, "nothing rises; `vivesphere trends sources` says how the sources stand")


def for_bot(
    bot: Annotated[str, typer.Argument(help="Its handle.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the trends that concern a bot's persona, the nearest first, and why."""
    with api() as gateway:
        found = gateway.get(f"/trends/for/{bot.removeprefix('@')}", limit=limit)
    if as_json:
        output.as_json(found)
        return
    by = "what they mean" if found["method"] == "meaning" else "shared words only: no model here, or no vector yet"
    waiting = f", {found['waiting']} wait for their vector" if found["waiting"] else ""
    output.say(f"{found['persona']}: {found['compared']} trends compared by {by}{waiting}")
    rows = [{**one, "score": f"{one['score']:.2f}", "why": "; ".join(one["why"])} for one in found["picks"]]
    output.table(rows, PICK_COLUMNS, "nothing that stands on a list concerns it")


def show(
    name: Annotated[str, typer.Argument(help="The trend, in any spelling.")],
    days: Annotated[int, typer.Option(min=1, max=14, help="Where it stood in so many days.")] = 2,
    as_json: Json = False,
) -> None:
    """Show what a trend's score is made of, and where it stood on which list."""
    with api() as gateway:
        found = gateway.get("/trends/show", name=name, days=days)
    if as_json:
        output.as_json(found)
        return
    if (trend := found["trend"]) is None:
        output.say("no list has it now")
    else:
        seen = f"first seen {output.local(trend['first_seen_at'])}"
        output.say(f"{trend['shown']}: score {trend['score']:.1f}, {seen}; {trend['url'] or 'no address'}")
        output.table(trend["parts"], PART_COLUMNS, "it does not rise on any list")
    rows = [
        {
            **one,
            "at": output.local(one["bucket_at"]),
            "place": f"{one['rank']} of {one['length']}{', paid for' if one['promoted'] else ''}",
        }
        for one in found["stood"]
    ]
    output.table(rows, STOOD_COLUMNS, "no list had it in that time")


def sources(as_json: Json = False) -> None:
    """Show how each source stands: when it was good last, what it gave, and why it does not."""
    with api() as gateway:
        found = gateway.get("/trends/sources")
    if as_json:
        output.as_json(found)
        return
    nothing = "no source was asked yet: set trend_sources.contact, see docs/guide/trends.md"
    output.table([_source(one) for one in found], SOURCE_COLUMNS, nothing)


def _source(one: Mapping[str, Any]) -> dict[str, Any]:
    failures = f", {one['failures']} times" if one["failures"] > 1 else ""
    return {
        **one,
        "health": f"{one['verdict'] or 'not asked yet'}{failures}",
        "good": output.local(one["good_at"]) if one["good_at"] else "never",
        "next": output.local(one["next_at"]),
    }
