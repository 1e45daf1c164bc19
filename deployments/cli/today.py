"""`vivesphere today`: what went out, what did not, and what waits for a person."""

import textwrap
from typing import Annotated

import typer

from deployments.cli import output
from deployments.cli.audit import instant
from deployments.cli.client import api
from deployments.cli.failures import PERSON_NEEDED
from deployments.cli.output import Json

WIDTH = 80
INDENT = " " * 24


def register(program: typer.Typer) -> None:
    """Add the command to the program."""
    program.command()(today)


def today(
    since: Annotated[str | None, typer.Option(help="From this time on (absent: for a day): 2026-12-01T09:00.")] = None,
    label: Annotated[str | None, typer.Option(help="Only of bots with this label.")] = None,
    as_json: Json = False,
) -> None:
    """Show what went out, what did not, and what to do next; exit 4 where a person is needed."""
    with api() as gateway:
        found = gateway.get("/today", since=instant("--since", since), label=label)
    if as_json:
        output.as_json(found)
    else:
        output.say(f"{output.local(found['since'])} to {output.local(found['now'])}")
        for item in found["items"]:
            first = f"{'!' if item['person'] else ' '} {item['what']:<13}{item['count']:>7,}"
            output.text(
                textwrap.fill(f"{first}  {output.clean(item['said'])}".rstrip(), WIDTH, subsequent_indent=INDENT)
            )
            if item["do"]:
                output.text(
                    textwrap.fill(
                        output.clean(item["do"]), WIDTH, initial_indent=f"{INDENT}-> ", subsequent_indent=INDENT
                    )
                )
        output.say("a person is needed" if found["person_needed"] else "nobody is needed")
    if found["person_needed"]:
        raise typer.Exit(PERSON_NEEDED)
