"""Scheduling over the API: one post, or a file in batches, with a line for each row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
from pydantic import ValidationError

from deployments.cli import output, posts_csv, posts_media
from deployments.cli.client import Api, api
from deployments.cli.failures import FAILED, PERSON_NEEDED, REFUSED, USAGE, CommandError
from deployments.cli.posts_csv import COLUMN_OF, Row, ZoneOf
from deployments.cli.problems import words
from tasks.domain.media import MediaError
from tasks.domain.posts import FILE_CHARACTERS_MAX, Draft, Origin
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
    "media": "--media",
    "poll": "--poll",
}
# Said for a time: the first turn that is free.
NEXT_TURN = "next-turn"
GOOD = ("scheduled", "unchanged", "awaiting_approval")


_SAID = {
    "scheduled": "passes: no rule objects",
    "awaiting_approval": "waits for an approval",
    "unchanged": "passes: it stands already",
    "conflict": "another post bears its external id",
    "refused": "does not pass",
}
# By severity, and whether the rule is X's own.
_HARDNESS = {
    ("refuse", True): "X forbids it",
    ("refuse", False): "our own rules forbid it",
    ("needs_approval", True): "X's rules want a person to see it",
    ("needs_approval", False): "our own rules want a person to see it",
}


@dataclass(frozen=True)
class Wanted:
    """What the options of `posts schedule` say; more than one text is a thread, which shows media in its first part."""

    bot: str
    texts: Sequence[str]
    at: str
    expires_at: str | None
    external_id: str | None
    spread: str | None
    if_late: str | None
    media: Sequence[str]
    alt: Sequence[str]
    poll: Sequence[str]
    poll_minutes: int | None


def said(wanted: Wanted, now: datetime, dry_run: bool, as_json: bool) -> None:
    """Schedule what the options say, one post or a thread; ends with the code of the receipts."""
    with api() as gateway:
        zone_of = zones(gateway)
        due = _next_turn(gateway, wanted.bot) if wanted.at == NEXT_TURN else _time(wanted, "at", now, zone_of)
        expires = _time(wanted, "expires_at", now, zone_of)
        try:
            files = posts_media.files(wanted.media, wanted.alt, Path())
        except MediaError as error:
            raise CommandError(f"--media: {error}", USAGE) from None
        drafts = _drafts(wanted, due, expires, now, [posts_csv.NOT_YET] * len(files))
        if not dry_run and files:
            drafts[0] = drafts[0].model_copy(update={"media": posts_media.upload(gateway, wanted.bot, files)})
        receipts = gateway.post("/posts", [_sent(draft) for draft in drafts], dry_run=dry_run, source="cli")
    for read in (due, expires):
        if read and read.note:
            output.say(read.note, problem=True)
    told = [{**receipt, "due_at": draft.due_at.isoformat()} for receipt, draft in zip(receipts, drafts, strict=True)]
    if as_json:
        output.as_json(told if len(told) > 1 else told[0])
    else:
        for receipt in told:
            for_when = f" for {output.local(receipt['due_at'])}" if receipt["result"] == "scheduled" else ""
            output.say(f"{_result(receipt, dry_run)}{for_when}{_why(receipt)}", problem=receipt["result"] not in GOOD)
        _say_cost(told)
    _end([receipt["result"] for receipt in receipts])


def _next_turn(gateway: Api, bot: str) -> When:
    """The bot's next free turn by its persona's cadence."""
    found = gateway.get("/content/turns", bot=bot)
    if not found:
        raise CommandError(
            f"{OPTIONS['at']}: @{bot} has no free turn: give its persona a cadence, or say a time", USAGE
        )
    return When(datetime.fromisoformat(found[0]))


def checked(wanted: Wanted, now: datetime, as_json: bool) -> None:
    """Say what the gate says of a post or a thread; ends with the code that scheduling it would end with."""
    with api() as gateway:
        due = _time(wanted, "at", now, zones(gateway))
        drafts = _drafts(wanted, due, None, now, ())
        found = gateway.post("/posts/check", [_sent(draft) for draft in drafts])
    if as_json:
        output.as_json(found)
    for place, one in enumerate(() if as_json else found, start=1):
        part = f"part {place}: " if len(found) > 1 else ""
        output.say(f"{part}{_SAID[one['result']]} (policy {one['policy_version']})", problem=one["result"] == "refused")
        for finding in one["findings"]:
            output.say(f"  {finding['rule']}: {finding['evidence']}")
            output.say(f"    {_HARDNESS[finding['severity'], finding['x_policy']]}: {finding['source']}")
            output.say(f"    what to do: {finding['advice']}")
        for reason in () if one["findings"] else one["reasons"]:
            output.say(f"  {reason}")
    _end([one["result"] for one in found])


def latitudes(spread: str | None, if_late: str | None) -> dict[str, object]:
    """What a draft calls `--spread` and `--if-late`; raises CommandError for what means nothing."""
    found: dict[str, object] = {}
    for column, written in (("spread", spread), ("if_late", if_late)):
        try:
            found |= posts_csv.latitude(column, written)
        except WhenError as error:
            raise CommandError(f"{OPTIONS[column]}: {error}", USAGE) from None
    return found


def _drafts(
    wanted: Wanted, due: When | None, expires: When | None, now: datetime, media: Sequence[UUID]
) -> list[Draft]:
    shared = {
        "bot": wanted.bot,
        "due_at": due.at if due else now,
        "expires_at": expires.at if expires else None,
        **latitudes(wanted.spread, wanted.if_late),
    }
    if len(wanted.texts) > 1:
        shared["thread"] = wanted.external_id or "thread"
    minutes = None if wanted.poll_minutes is None else str(wanted.poll_minutes)
    try:
        return [
            Draft.model_validate(
                {
                    **shared,
                    "text": text,
                    "external_id": _part_id(wanted.external_id, part, len(wanted.texts)),
                    "media": media if part == 1 else (),
                    "poll": posts_csv.poll(list(wanted.poll), minutes) if part == 1 else None,
                }
            )
            for part, text in enumerate(wanted.texts or [""], start=1)
        ]
    except ValidationError as error:
        lines = [f"{_option(problem['loc'])}: {words(problem, Draft)}" for problem in error.errors()]
        raise CommandError("\n".join(lines), USAGE) from None


def _part_id(external_id: str | None, part: int, parts: int) -> str | None:
    return f"{external_id}/{part}" if external_id and parts > 1 else external_id


def _sent(draft: Draft) -> dict[str, Any]:
    """A draft as the gateway takes it; of a dry run, whose files stay here, with a word in their place."""
    if posts_csv.NOT_YET in draft.media:
        draft = draft.model_copy(update={"media": (), "text": draft.text or "media"})
    return draft.model_dump(mode="json")


def from_file(path: Path, now: datetime, dry_run: bool, as_json: bool) -> None:
    """Schedule every good row of a file; each row has its line in the answer."""
    told: list[dict[str, Any]] = []
    with api() as gateway:
        rows = posts_csv.read(path, now, zones(gateway))
        for batch in _batches(rows):
            drafts = [
                _sent(_with_media(gateway, row, _with_origin(row.draft, path, row.line), dry_run))
                for row in batch
                if row.draft
            ]
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
        _say_cost(told)
        counts = ", ".join(f"{results.count(result)} {result}" for result in dict.fromkeys(results)) or "no rows"
        output.say(f"{path}: {counts}{' (dry run)' if dry_run else ''}")
    _end(results)


def _say_cost(receipts: Sequence[Mapping[str, Any]]) -> None:
    """What the batch costs on X, and which part of it the links make dear."""
    priced = [receipt for receipt in receipts if receipt.get("cost_usd") is not None]
    if not priced:
        return
    dear = [receipt for receipt in priced if receipt["dearer_times"]]
    output.say(f"cost on X: {_usd(priced)} USD")
    if dear:
        times = dear[0]["dearer_times"]
        output.say(f"{len(dear)} with a link, {times} times dearer each: {_usd(dear)} USD of it", problem=True)


def _usd(receipts: Sequence[Mapping[str, Any]]) -> str:
    return f"{sum(Decimal(receipt['cost_usd']) for receipt in receipts):.3f}"


def _say_row(path: Path, row: Row, receipt: Mapping[str, Any], dry_run: bool) -> None:
    bad = receipt["result"] not in GOOD
    output.say(f"{path}:{row.line}: {_result(receipt, dry_run)}{_why(receipt)}", problem=bad)
    for note in row.notes:
        output.say(f"{path}:{row.line}: {note}", problem=True)


def _result(receipt: Mapping[str, Any], dry_run: bool) -> str:
    if dry_run and receipt["result"] == "scheduled":
        return "would be scheduled"
    if receipt["result"] == "awaiting_approval":
        return f"waits for an approval {receipt['post_id'] or ''}".rstrip()
    return " ".join(str(part) for part in (receipt["result"], receipt["post_id"]) if part)


def _why(receipt: Mapping[str, Any]) -> str:
    return f": {'; '.join(receipt['reasons'])}" if receipt["reasons"] else ""


def _end(results: Sequence[str]) -> None:
    if any(result in ("invalid", "conflict") for result in results):
        raise typer.Exit(FAILED)
    if "refused" in results:
        raise typer.Exit(REFUSED)
    if "awaiting_approval" in results:
        raise typer.Exit(PERSON_NEEDED)


def _with_media(gateway: Api, row: Row, draft: Draft, dry_run: bool) -> Draft:
    if dry_run or not row.media:
        return draft
    return draft.model_copy(update={"media": posts_media.upload(gateway, draft.bot, row.media)})


def _with_origin(draft: Draft, path: Path, line: int) -> Draft:
    """The draft with where it stands written."""
    return draft.model_copy(update={"origin": Origin(file=path.name[-FILE_CHARACTERS_MAX:], line=line)})


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """At most BATCH rows at a time; the parts of a thread, which stand one below the other, go together."""
    batch: list[Row] = []
    for _, group in groupby(rows, _thread):
        parts = list(group)
        if len(batch) + len(parts) > BATCH:
            yield batch
            batch = []
        batch += parts
    if batch:
        yield batch


def _thread(row: Row) -> object:
    return (row.draft.bot.lower(), row.draft.thread) if row.draft and row.draft.thread else row.line


def zones(gateway: Api) -> ZoneOf:
    """The time zone of each bot, asked for once and only if a time needs it."""
    known: dict[str, str] = {}

    def zone_of(handle: str) -> ZoneInfo | None:
        if not known:
            known.update({bot["handle"].lower(): bot["time_zone"] for bot in gateway.get("/bots")})
        name = known.get(handle.removeprefix("@").lower())
        return ZoneInfo(name) if name else None

    return zone_of


def _time(wanted: Wanted, column: str, now: datetime, zone_of: ZoneOf) -> When | None:
    written = getattr(wanted, column)
    return when(written, wanted.bot, column, now, zone_of) if written else None


def when(written: str, bot: str, column: str, now: datetime, zone_of: ZoneOf) -> When:
    """The instant that an option names; raises CommandError for what names none."""
    try:
        return posts_csv.read_time(written, bot, now, zone_of)
    except WhenError as error:
        raise CommandError(f"{OPTIONS[column]}: {error}", USAGE) from None


def _option(location: Sequence[Any]) -> str:
    name = str(location[0]) if location else "post"
    name = COLUMN_OF.get(name, name)
    return OPTIONS.get(name, name)
