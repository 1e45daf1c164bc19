"""What commands print: JSON for programs, a table for people; text of strangers is made harmless."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Columns = Sequence[tuple[str, str]]

# Control codes, and marks that turn the direction of writing or hide text. The joiner inside emoji stays.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


def clean(value: Any) -> str:
    """Any value as one line that cannot steer a terminal."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(clean(item) for item in value)
    return _UNPRINTABLE.sub(" ", str(value))


def local(instant: str | None) -> str:
    """An instant of the API, to the second, in this machine's time zone."""
    return datetime.fromisoformat(instant).astimezone().strftime("%Y-%m-%d %H:%M:%S %z") if instant else ""


def short(text: str, width: int = 50) -> str:
    """The beginning of a text, in one line."""
    plain = clean(text)
    return plain if len(plain) <= width else f"{plain[: width - 1]}…"


def say(text: str, problem: bool = False) -> None:
    """One line; a problem goes to the standard error."""
    typer.echo(clean(text), err=problem)


def text(lines: str) -> None:
    """Lines of ours, already clean and broken where they should be."""
    typer.echo(lines)


def as_json(value: Any) -> None:
    """Print a value of the API as it is."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def json_line(value: Any) -> None:
    """Print a value of the API in one line, for a program that reads along."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def table(rows: Sequence[Mapping[str, Any]], columns: Columns, nothing: str) -> None:
    """Rows under headings: drawn on a terminal, plain and uncut everywhere else; `nothing` where there are none."""
    if not rows:
        say(nothing, problem=True)
        return
    cells = [[clean(row.get(key)) for key, _ in columns] for row in rows]
    headings = [heading for _, heading in columns]
    if sys.stdout.isatty():
        _draw(headings, cells)
        return
    widths = [max(len(line[at]) for line in [headings, *cells]) for at in range(len(columns))]
    for line in [headings, *cells]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def facts(row: Mapping[str, Any], columns: Columns) -> None:
    """One thing, a line a fact; what it has not is left out."""
    width = max(len(heading) for _, heading in columns)
    for key, heading in columns:
        if (text := clean(row.get(key))) != "":
            typer.echo(f"{heading.ljust(width)}  {text}")


def _draw(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for line in cells:
        # Text and not str: brackets in a post are no markup.
        drawn.add_row(*(Text(cell) for cell in line))
    Console().print(drawn)
