"""`vivesphere posts held` and `resolve`: what nobody knows of a post, and a person's word on it."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from deployments.cli import output
from deployments.cli.client import Api, api
from deployments.cli.failures import FAILED, USAGE, CommandError
from deployments.cli.output import Json

BATCH = 1000
COLUMNS = (
    ("id", "id"),
    ("sent", "sent"),
    ("bot", "bot"),
    ("status", "status"),
    ("short", "text"),
    ("reason", "reason"),
    ("look_at", "look at"),
)
CHOICES = ("published", "requeue", "discard")

Bot = Annotated[str | None, typer.Option(help="Only of this bot.")]
Label = Annotated[str | None, typer.Option(help="Only of bots with this label.")]


def held(bot: Bot = None, label: Label = None, as_json: Json = False) -> None:
    """List posts whose delivery is uncertain, with the reason and where to look: held ones wait for a person."""
    with api() as gateway:
        found = gateway.get("/posts/uncertain", bot=bot, label=label)
    if as_json:
        output.as_json(found)
        return
    rows = [{**post, "sent": output.local(post["sent_at"]), "short": output.short(post["text"])} for post in found]
    output.table(rows, COLUMNS, "no post is held or unknown")


def resolve(
    post_ids: Annotated[list[UUID] | None, typer.Argument(help="Posts that are held or unknown.")] = None,
    reason: Annotated[str, typer.Option(help="Why; the audit keeps it.")] = "",
    published: Annotated[str | None, typer.Option(help="X has it, at this address.")] = None,
    requeue: Annotated[bool, typer.Option("--requeue", help="X has it not: send it again.")] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Never send it; deleted if X turns out to have it.")
    ] = False,
    from_: Annotated[
        str | None, typer.Option("--from", help="A file, or - for the standard input: ids, or CSV with id,choice,url.")
    ] = None,
    bot: Annotated[str | None, typer.Option(help="Every held post of this bot.")] = None,
    label: Annotated[str | None, typer.Option(help="Every held post of bots with this label.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    even_so: Annotated[
        bool, typer.Option("--even-so", help="Send again although X may still take the first request.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Settle posts by your word; one that is refused stops no other."""
    choice = _choice(published, requeue, discard)
    if not reason.strip():
        raise CommandError("say --reason: the audit keeps it", USAGE)
    if sum((bool(post_ids), from_ is not None, bool(bot or label))) != 1:
        raise CommandError("name posts, or --from a file, or --bot or --label for all that are held", USAGE)
    with api() as gateway:
        if from_ is not None:
            wanted = list(_read(from_, choice, published))
        else:
            ids = [str(one) for one in post_ids or ()] or _held(gateway, bot, label)
            wanted = [_one(post_id, choice, published) for post_id in ids]
        if (bot or label) and not yes and wanted:
            typer.confirm(f"{choice} {len(wanted)} held posts?", abort=True)
        done: list[dict[str, Any]] = []
        for start in range(0, len(wanted), BATCH):
            body = {"resolutions": wanted[start : start + BATCH], "reason": reason, "even_so": even_so}
            done += gateway.post("/posts/resolve", body)
    if as_json:
        output.as_json(done)
    for one in done:
        refused = one["result"] == "refused"
        if refused or not as_json:
            output.say(f"{one['post_id']}: {one['status'] or ''} {one['said']}".replace(":  ", ": "), problem=refused)
    if any(one["result"] == "refused" for one in done):
        raise typer.Exit(FAILED)


def _choice(published: str | None, requeue: bool, discard: bool) -> str | None:
    said = [choice for choice, on in zip(CHOICES, (published is not None, requeue, discard), strict=True) if on]
    if len(said) > 1:
        raise CommandError("say one of --published, --requeue and --discard", USAGE)
    return said[0] if said else None


def _one(post_id: str, choice: str | None, url: str | None) -> dict[str, Any]:
    if choice is None:
        raise CommandError("say --published URL, --requeue or --discard", USAGE)
    return {"post_id": post_id, "choice": choice, "url": url if choice == "published" else None}


def _held(gateway: Api, bot: str | None, label: str | None) -> list[str]:
    found = gateway.get("/posts/uncertain", bot=bot, label=label, limit=10_000)
    return [post["id"] for post in found if post["status"] == "held"]


def _read(source: str, choice: str | None, url: str | None) -> Iterator[dict[str, Any]]:
    """Ids, one a line; or with a heading `id,choice,url`, a word for each."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{source}: cannot be read: {error}", USAGE) from None
    rows = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    columns = [cell.strip().lower() for cell in rows[0]] if rows else []
    headed = "id" in columns
    for number, row in enumerate(rows[1:] if headed else rows, start=2 if headed else 1):
        given = dict(zip(columns if headed else ("id",), (cell.strip() for cell in row), strict=False))
        try:
            post_id = str(UUID(given["id"]))
        except ValueError:
            raise CommandError(f"{source}:{number}: '{given['id']}' is no id of a post", USAGE) from None
        said = given.get("choice") or choice
        if said is not None and said not in CHOICES:
            raise CommandError(f"{source}:{number}: '{said}' is none of {', '.join(CHOICES)}", USAGE)
        yield _one(post_id, said, given.get("url") or url)
