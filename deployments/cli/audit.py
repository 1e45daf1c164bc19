"""`vivesphere audit`: who changed what, and whether that is still as it was written."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.failures import FAILED, USAGE, CommandError
from deployments.cli.output import Json

PAGE = 500
COLUMNS = (
    ("id", "id"),
    ("when", "when"),
    ("actor", "who"),
    ("action", "what"),
    ("subject", "which"),
    ("bot", "bot"),
    ("change", "change"),
    ("seal", "seal"),
)

Since = Annotated[str | None, typer.Option(help="From this time on: 2026-12-01, or 2026-12-01T09:00.")]
Until = Annotated[str | None, typer.Option(help="Before this time, written like --since.")]
Actor = Annotated[str | None, typer.Option(help="Only by this user or key; a * at the end stands for anything.")]
Action = Annotated[str | None, typer.Option(help="Only this, such as posts.cancel or posts.*.")]
Bot = Annotated[str | None, typer.Option(help="Only of this bot.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="At most this many.")]


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="Who changed what, sealed; check it, take it out.")
    app.command("list")(list_rows)
    app.command()(search)
    app.command()(verify)
    app.command()(export)
    program.add_typer(app, name="audit")


def list_rows(
    actor: Actor = None,
    action: Action = None,
    subject: Annotated[str | None, typer.Option(help="Only of this thing, such as a post's id.")] = None,
    bot: Bot = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List changes, the newest first."""
    wanted = {"actor": actor, "action": action, "subject": subject, "bot": bot}
    _show({**wanted, "since": instant("--since", since), "until": instant("--until", until)}, limit, as_json)


def search(
    text: Annotated[str, typer.Argument(help="Looked for in actor, action, subject and values of each change.")],
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Search all changes for a word, the newest first."""
    _show({"text": text, "since": instant("--since", since), "until": instant("--until", until)}, limit, as_json)


def verify(
    file: Annotated[Path | None, typer.Argument(help="A file of `audit export`; without it the running stack.")] = None,
    anchor: Annotated[Path | None, typer.Option(help="A copy of audit/last-seal.json that was kept elsewhere.")] = None,
    as_json: Json = False,
) -> None:
    """Check every row, seal and signature: exit 1 if one was changed, deleted or cut off."""
    kept = _kept(anchor) if anchor else None
    report = _verified_file(file, kept) if file else _verified_stack(kept)
    if as_json:
        output.as_json(report)
    else:
        for found in report["findings"]:
            output.say(f"{found['kind']}: {found['said']}", problem=True)
        output.say(f"{report['rows']} rows under {report['seals']} seals, signed by key {report['key']}")
        output.say(report["said"])
        if report["findings"]:
            output.say("this audit is not as it was written: docs/guide/audit.md says what to do", problem=True)
    if report["findings"]:
        raise typer.Exit(FAILED)


def export(
    file: Annotated[Path, typer.Argument(help="Where to; it must not exist yet.")],
    since: Since = None,
    until: Until = None,
    label: Annotated[str | None, typer.Option(help="Only rows of bots with this label; the others by hash.")] = None,
) -> None:
    """Write rows, seals, anchor and public keys into a file that `audit verify` checks without the stack."""
    wanted = {"since": instant("--since", since), "until": instant("--until", until), "label": label}
    lines = 0
    try:
        with api() as gateway, file.open("x", encoding="utf-8") as written:
            file.chmod(0o600)
            for line in gateway.lines("/audit/export", **wanted):
                written.write(f"{line}\n")
                lines += 1
    except FileExistsError:
        raise CommandError(f"{file} exists already: choose another name", USAGE) from None
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None
    output.say(f"{lines} lines in {file}")


def _show(wanted: dict[str, Any], limit: int, as_json: bool) -> None:
    found: list[dict[str, Any]] = []
    before = None
    with api() as gateway:
        while len(found) < limit:
            page = gateway.get("/audit", **wanted, before=before, limit=min(PAGE, limit - len(found)))
            found += page["rows"]
            before = page["next"]
            if before is None:
                break
    if as_json:
        output.as_json(found)
        return
    rows = [{**row, "when": output.local(row["at"]), "change": output.short(_change(row))} for row in found]
    output.table(rows, COLUMNS, "there are no such changes")


def _change(row: dict[str, Any]) -> str:
    """`status scheduled -> cancelled`, and what else was said."""
    before, after = row["before"] or {}, row["after"] or {}
    parts = [
        f"{name} {output.clean(before[name])} -> {output.clean(after[name])}"
        if name in before
        else f"{name} {output.clean(after[name])}"
        for name in after
        if name != "hidden"
    ]
    return ", ".join([*parts, *(f"{name} {output.clean(value)}" for name, value in row["details"].items())])


def instant(option: str, written: str | None) -> str | None:
    """An instant for the API; without a zone it is meant in this machine's."""
    if written is None:
        return None
    try:
        return datetime.fromisoformat(written).astimezone().isoformat()
    except ValueError:
        raise CommandError(f"{option}: write a date or a time such as 2026-12-01T09:00", USAGE) from None


def _kept(path: Path) -> Any:
    from tasks.domain.audit import seal_from_json

    try:
        return seal_from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"{path} is no seal: name a copy of audit/last-seal.json", USAGE) from None


def _verified_file(file: Path, kept: Any) -> dict[str, Any]:
    from dataclasses import asdict

    from tasks.domain.audit_file import check_lines

    try:
        with file.open(encoding="utf-8") as lines:
            report = check_lines(_readable(lines), (kept.number, kept.digest) if kept else None)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None
    return {**asdict(report), "said": report.said}


def _readable(lines: Iterator[str]) -> Iterator[str]:
    """A file that is no text at all has one line that cannot be read."""
    try:
        yield from lines
    except UnicodeDecodeError:
        yield "this is no text"


def _verified_stack(kept: Any) -> dict[str, Any]:
    wanted = {"kept_number": kept.number, "kept_digest": kept.digest.hex()} if kept else {}
    with api() as gateway:
        report: dict[str, Any] = json.loads("".join(gateway.lines("/audit/verify", **wanted)))
    return report
