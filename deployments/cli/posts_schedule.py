"""Scheduling over the API: one post, or a file in batches, with a line for each row."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import typer
from pydantic import ValidationError

from deployments.cli import output, posts_csv
from deployments.cli.client import Api, api
from deployments.cli.failures import FAILED, REFUSED, USAGE, CommandError
from deployments.cli.posts_csv import COLUMN_OF, Row, ZoneOf
from deployments.cli.problems import words
from tasks.domain.posts import Draft
from tasks.domain.schedule import When, WhenError

BATCH = 1000
# How to say on the command line what a draft calls otherwise.
OPTIONS = {
    "at": "--at",
    "expires_at": "--expires",
    "external_id": "--external-id",
    "bot": "--bot",
    "text": "--text",
    "spread": "--spread",
    "if_late": "--if-late",
}
GOOD = ("scheduled", "unchanged")


def one(given: Mapping[str, str | None], now: datetime, dry_run: bool, as_json: bool) -> None:
    """Schedule what the options say; ends with the code of its receipt."""
    with api() as gateway:
        zone_of = _zones(gateway)
        times = {column: _time(given, column, now, zone_of) for column in ("at", "expires_at")}
        expires = times["expires_at"]
        latitudes: dict[str, object] = {}
        for column in ("spread", "if_late"):
            try:
                latitudes |= posts_csv.latitude(column, given[column])
            except WhenError as error:
                raise CommandError(f"{OPTIONS[column]}: {error}", USAGE) from None
        try:
            draft = Draft.model_validate(
                {
                    "bot": given["bot"],
                    "text": given["text"],
                    "due_at": times["at"].at if times["at"] else now,
                    "expires_at": expires.at if expires else None,
                    "external_id": given["external_id"],
                    **latitudes,
                }
            )
        except ValidationError as error:
            lines = [f"{_option(problem['loc'])}: {words(problem, Draft)}" for problem in error.errors()]
            raise CommandError("\n".join(lines), USAGE) from None
        [receipt] = gateway.post("/posts", [draft.model_dump(mode="json")], dry_run=dry_run, source="cli")
    for when in times.values():
        if when and when.note:
            output.say(when.note, problem=True)
    if as_json:
        output.as_json({**receipt, "due_at": draft.due_at.isoformat()})
    else:
        due = f" for {output.local(draft.due_at.isoformat())}" if receipt["result"] == "scheduled" else ""
        output.say(f"{_result(receipt, dry_run)}{due}{_why(receipt)}", problem=receipt["result"] not in GOOD)
    _end([receipt["result"]])


def from_file(path: Path, now: datetime, dry_run: bool, as_json: bool) -> None:
    """Schedule every good row of a file; each row has its line in the answer."""
    told: list[dict[str, Any]] = []
    with api() as gateway:
        rows = posts_csv.read(path, now, _zones(gateway))
        for batch in _batches(rows):
            drafts = [row.draft.model_dump(mode="json") for row in batch if row.draft]
            receipts = iter(gateway.post("/posts", drafts, dry_run=dry_run, source="csv") if drafts else ())
            for row in batch:
                receipt = (
                    next(receipts) if row.draft else {"result": "invalid", "post_id": None, "reasons": row.problems}
                )
                told.append({"line": row.line, **receipt})
                if not as_json:
                    _say_row(path, row, receipt, dry_run)
    results = [row["result"] for row in told]
    if as_json:
        output.as_json(told)
    else:
        counts = ", ".join(f"{results.count(result)} {result}" for result in dict.fromkeys(results)) or "no rows"
        output.say(f"{path}: {counts}{' (dry run)' if dry_run else ''}")
    _end(results)


def _say_row(path: Path, row: Row, receipt: Mapping[str, Any], dry_run: bool) -> None:
    bad = receipt["result"] not in GOOD
    output.say(f"{path}:{row.line}: {_result(receipt, dry_run)}{_why(receipt)}", problem=bad)
    for note in row.notes:
        output.say(f"{path}:{row.line}: {note}", problem=True)


def _result(receipt: Mapping[str, Any], dry_run: bool) -> str:
    if dry_run and receipt["result"] == "scheduled":
        return "would be scheduled"
    return " ".join(str(part) for part in (receipt["result"], receipt["post_id"]) if part)


def _why(receipt: Mapping[str, Any]) -> str:
    return f": {'; '.join(receipt['reasons'])}" if receipt["reasons"] else ""


def _end(results: Sequence[str]) -> None:
    if any(result in ("invalid", "conflict") for result in results):
        raise typer.Exit(FAILED)
    if "refused" in results:
        raise typer.Exit(REFUSED)


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _zones(gateway: Api) -> ZoneOf:
    """The time zone of each bot, asked for once and only if a time needs it."""
    known: dict[str, str] = {}

    def zone_of(handle: str) -> ZoneInfo | None:
        if not known:
            known.update({bot["handle"].lower(): bot["time_zone"] for bot in gateway.get("/bots")})
        name = known.get(handle.removeprefix("@").lower())
        return ZoneInfo(name) if name else None

    return zone_of


def _time(given: Mapping[str, str | None], column: str, now: datetime, zone_of: ZoneOf) -> When | None:
    written = given[column]
    if not written:
        return None
    try:
        return posts_csv.read_time(written, given["bot"] or "", now, zone_of)
    except WhenError as error:
        raise CommandError(f"{OPTIONS[column]}: {error}", USAGE) from None


def _option(location: Sequence[Any]) -> str:
    name = str(location[0]) if location else "post"
    name = COLUMN_OF.get(name, name)
    return OPTIONS.get(name, name)
