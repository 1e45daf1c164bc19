"""Posts from a spreadsheet: each row becomes a draft or a problem with its file, line and column."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from deployments.cli import posts_media
from deployments.cli.failures import USAGE, CommandError
from deployments.cli.posts_media import MediaFile
from deployments.cli.problems import words
from tasks.domain import misfire, schedule
from tasks.domain.media import MediaError
from tasks.domain.posts import Draft
from tasks.domain.schedule import When, WhenError

NEEDED = ("bot", "text", "at")
OPTIONAL = (
    *("external_id", "template", "expires_at", "spread", "if_late"),
    *("thread", "media", "alt", "poll", "poll_minutes"),
)
COLUMNS = (*NEEDED, *OPTIONAL)
# Between files, their alternative texts, or the answers of a poll that stand in one cell.
BETWEEN = "|"
# What our columns are called in a draft.
COLUMN_OF = {
    "due_at": "at",
    "spread_seconds": "spread",
    "misfire": "if_late",
    "misfire_within_seconds": "if_late",
}
# Stands in a draft for a file that is not given to the gateway yet.
NOT_YET = UUID(int=0)
DELIMITERS = ",;\t"
FIELD_CHARACTERS_MAX = 1_000_000

# The time zone of a bot by its handle; None where there is no such bot.
ZoneOf = Callable[[str], ZoneInfo | None]


@dataclass(frozen=True)
class Row:
    """One row: a draft, or what is wrong with it by column; `notes` say how a time was read."""

    line: int
    draft: Draft | None
    media: tuple[MediaFile, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read(path: Path, now: datetime, zone_of: ZoneOf) -> list[Row]:
    """Every row that holds anything; raises CommandError where the file as a whole cannot be used."""
    text = _text(path)
    lines = _records(path, text, _delimiter(text))
    line, head = next(lines, (1, []))
    columns = [name.strip().lower() for name in head]
    _check(f"{path}:{line}", columns)
    return [
        _row(number, columns, cells, path.parent, now, zone_of)
        for number, cells in lines
        if any(cell.strip() for cell in cells)
    ]


def read_time(written: str, bot: str, now: datetime, zone_of: ZoneOf) -> When:
    """The instant that was meant; the bot's zone is asked for only where it decides."""
    if not schedule.needs_zone(written):
        return schedule.instant(written, now, None)
    zone = zone_of(bot.strip())
    if zone is None:
        raise WhenError(f"there is no bot @{bot.strip().removeprefix('@')} whose time zone '{written}' could be in")
    return schedule.instant(written, now, zone)


def latitude(column: str, written: str | None) -> dict[str, object]:
    """What a draft calls the column `spread` or `if_late`; nothing where nothing is written. Raises WhenError."""
    if not written or not written.strip():
        return {}
    if column == "spread":
        return {"spread_seconds": int(schedule.duration(written).total_seconds())}
    policy, within = misfire.if_late(written)
    return {"misfire": policy, "misfire_within_seconds": int(within.total_seconds()) if within else None}


def poll(answers: list[str], minutes: str | None) -> dict[str, object] | None:
    """What a draft calls a poll; None where there are no answers."""
    if not answers:
        return None
    return {"options": answers, **({"duration_minutes": minutes.strip()} if minutes and minutes.strip() else {})}


def _listed(cell: str | None) -> list[str]:
    return [part.strip() for part in cell.split(BETWEEN)] if cell and cell.strip() else []


def _text(path: Path) -> str:
    try:
        # Spreadsheets put a byte order mark in front.
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}", USAGE) from None
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{path}: byte {error.start} is not UTF-8; save it as 'CSV UTF-8' in your spreadsheet", USAGE
        ) from None
    return text


def _delimiter(text: str) -> str:
    head = text.split("\n", 1)[0]
    if head.lower().startswith("sep=") and len(head.strip()) == len("sep=,"):
        return head[4]
    return max(DELIMITERS, key=head.count)


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it starts on; a text may go over several lines."""
    csv.field_size_limit(FIELD_CHARACTERS_MAX)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise CommandError(
                f"{path}:{line}: the quotes of this row do not match ({error}); correct it", USAGE
            ) from None
        if line == 1 and len(cells) <= 2 and cells and cells[0].lower().startswith("sep="):
            continue
        yield line, cells


def _check(where: str, columns: list[str]) -> None:
    known = ", ".join(COLUMNS)
    problems = [
        f"{where}: the column '{name}' is missing; the columns are {known}" for name in NEEDED if name not in columns
    ]
    problems += [
        f"{where}: there is no column '{name}'; the columns are {known}" for name in columns if name not in COLUMNS
    ]
    problems += [
        f"{where}: the column '{name}' stands twice" for name in sorted(set(columns)) if columns.count(name) > 1
    ]
    if problems:
        raise CommandError("\n".join(problems), USAGE)


def _row(line: int, columns: list[str], cells: list[str], folder: Path, now: datetime, zone_of: ZoneOf) -> Row:
    if len(cells) > len(columns):
        extra = f"{len(cells)} fields where {len(columns)} columns are; put a text that holds the separator in quotes"
        return Row(line, None, problems=(extra,))
    # A row may end early: spreadsheets drop empty cells.
    given = dict(zip(columns, [*cells, *[""] * (len(columns) - len(cells))], strict=True))
    problems: list[str] = []
    notes: list[str] = []
    times: dict[str, datetime | None] = {}
    for column in ("at", "expires_at"):
        written = given.get(column, "").strip()
        times[column] = None
        if not written:
            continue
        try:
            when = read_time(written, given["bot"], now, zone_of)
        except WhenError as error:
            problems.append(f"{column}: {error}")
            continue
        times[column] = when.at
        if when.note:
            notes.append(f"{column}: {when.note}")
    latitudes: dict[str, object] = {}
    for column in ("spread", "if_late"):
        try:
            latitudes |= latitude(column, given.get(column))
        except WhenError as error:
            problems.append(f"{column}: {error}")
    if not given["at"].strip():
        problems.append(f"at: is missing; {schedule.FORMS}")
    media: tuple[MediaFile, ...] = ()
    try:
        media = posts_media.files(_listed(given.get("media")), _listed(given.get("alt")), folder)
    except MediaError as error:
        problems.append(f"media: {error}")
    values: dict[str, object] = {
        "bot": given["bot"].strip(),
        "text": given["text"],
        "due_at": times["at"] or now,
        "expires_at": times["expires_at"],
        "external_id": given.get("external_id", "").strip() or None,
        "template": given.get("template", "").strip() or None,
        "thread": given.get("thread", "").strip() or None,
        "media": [NOT_YET] * len(media),
        "poll": poll(_listed(given.get("poll")), given.get("poll_minutes")),
        **latitudes,
    }
    try:
        draft = Draft.model_validate(values)
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else "row"
            problems.append(f"{COLUMN_OF.get(name, name)}: {words(problem, Draft)}")
        return Row(line, None, media, tuple(problems))
    return Row(line, None if problems else draft, media, tuple(problems), tuple(notes))
