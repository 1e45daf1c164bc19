"""`vivesphere content`: plan what bots say, and keep texts that come again."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.failures import REFUSED, USAGE, CommandError
from deployments.cli.output import Json
from tasks.domain.schedule import WhenError, duration

COLUMNS = (
    ("due", "due"),
    ("bot", "bot"),
    ("from", "from"),
    ("short", "text"),
    ("cost_usd", "USD"),
    ("said", "result"),
)
EVERGREEN = (
    *(("id", "id"), ("bot", "bot"), ("name", "name"), ("wordings", "wordings")),
    *(("again", "again"), ("short", "first wording")),
)
FEEDS = (
    *(("id", "id"), ("bot", "bot"), ("name", "name"), ("url", "address"), ("cap_per_day", "a day, most")),
    *(("waiting", "waiting"), ("good", "last good"), ("problem", "problem")),
)
TURNS = (("turn", "free turn"),)


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="Plan what bots say: templates, evergreen texts, free turns.")
    app.command()(plan)
    app.command()(turns)
    evergreen = typer.Typer(no_args_is_help=True, help="Texts of a bot that keep and come again.")
    evergreen.command("add")(add_evergreen)
    evergreen.command("list")(list_evergreen)
    evergreen.command("remove")(remove_evergreen)
    app.add_typer(evergreen, name="evergreen")
    feeds = typer.Typer(no_args_is_help=True, help="RSS and Atom feeds whose entries become drafts.")
    feeds.command("add")(add_feed)
    feeds.command("list")(list_feeds)
    feeds.command("remove")(remove_feed)
    app.add_typer(feeds, name="feeds")
    program.add_typer(app, name="content")


def plan(
    bots: Annotated[list[str] | None, typer.Argument(help="Handles of bots; none: all.")] = None,
    days: Annotated[int, typer.Option(min=1, max=62, help="So many days, today being the first.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same plan, another one another.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the calendar and its price, store nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Fill free turns from templates and evergreen texts; print the calendar and its price."""
    wish = {"days": days, "seed": seed, "bots": [bot.removeprefix("@") for bot in bots] if bots else None}
    with api() as gateway:
        found = gateway.post_long("/content/plan", wish, dry_run=dry_run)
    if as_json:
        output.as_json(found)
    else:
        nothing = "nothing to plan: no turn is free, or no persona has a cadence and templates"
        output.table([_for_people(one, dry_run) for one in found["entries"]], COLUMNS, nothing)
        for note in found["notes"]:
            output.say(note, problem=True)
        results = [one["result"] for one in found["entries"]]
        waiting = results.count("awaiting_approval")
        done = "would be planned; nothing was stored" if dry_run else "planned"
        asked = f", {waiting} of them for a person to approve" if waiting else ""
        output.say(f"{results.count('scheduled') + waiting} posts {done}{asked}; cost on X: {found['usd']} USD")
    if any(one["result"] == "refused" for one in found["entries"]):
        raise typer.Exit(REFUSED)


def _for_people(one: dict[str, Any], dry_run: bool) -> dict[str, Any]:
    said = one["result"].replace("_", " ")
    said = "would be scheduled" if dry_run and said == "scheduled" else said
    return {
        **one,
        "due": output.local(one["due_at"]),
        "from": f"{one['kind']} {one['template']}",
        "short": output.short(one["text"]),
        "said": f"{said}: {'; '.join(one['reasons'])}" if one["reasons"] else said,
    }


def turns(
    bot: str,
    count: Annotated[int, typer.Option(min=1, max=100, help="So many.")] = 5,
    as_json: Json = False,
) -> None:
    """Show the next free turns of a bot; `posts schedule --at next-turn` takes the first."""
    with api() as gateway:
        found = gateway.get("/content/turns", bot=bot, count=count)
    if as_json:
        output.as_json(found)
        return
    rows = [{"turn": output.local(one)} for one in found]
    output.table(rows, TURNS, f"@{bot.removeprefix('@')} has no free turn: its persona has no cadence, or all is taken")


def add_evergreen(
    bot: str,
    name: Annotated[str, typer.Option(help="Your name for it.")],
    text: Annotated[list[str], typer.Option(help="What it says; more than once: other wordings of the same.")],
    cooldown: Annotated[str, typer.Option(help="Not again before so long has passed, such as 30d.")] = "30d",
    every: Annotated[
        str | None, typer.Option(help="Comes by a rule instead: FREQ=WEEKLY;BYDAY=MO, with COUNT= or UNTIL= to end.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="With --every, the time of the bot's own day: 09:00.")] = None,
    starts: Annotated[str | None, typer.Option(help="With --every, the first day; today if not said.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="With --every, a day that is left out: 2026-12-28.")] = None,
    as_json: Json = False,
) -> None:
    """Keep a text that fills free turns again and again, or comes by a rule."""
    if bool(every) != bool(at):
        raise CommandError("say --every and --at together: on which days, and at which time", USAGE)
    if not every and (starts or skip):
        raise CommandError("--starts and --skip are about --every", USAGE)
    try:
        days = duration(cooldown).days
    except WhenError as error:
        raise CommandError(f"--cooldown: {error}", USAGE) from None
    recurrence = None
    if every:
        first = starts or datetime.now(UTC).astimezone().date().isoformat()
        recurrence = {"rule": every, "starts_on": first, "at": at, "skip": skip or []}
    wanted = {"bot": bot.removeprefix("@"), "name": name, "variants": text, "cooldown_days": days}
    with api() as gateway:
        found = gateway.post("/content/evergreen", {**wanted, "recurrence": recurrence})
    output.as_json(found) if as_json else output.say(f"{found['id']}: @{found['bot']} keeps '{found['name']}'")


def list_evergreen(as_json: Json = False) -> None:
    """List texts that keep."""
    with api() as gateway:
        found = gateway.get("/content/evergreen")
    if as_json:
        output.as_json(found)
        return
    rows = [
        {**one, "wordings": len(one["variants"]), "again": _again(one), "short": output.short(one["variants"][0])}
        for one in found
    ]
    output.table(rows, EVERGREEN, "there are no evergreen texts: `vivesphere content evergreen add` keeps one")


def _again(one: dict[str, Any]) -> str:
    rule = one["recurrence"]
    return f"{rule['rule']} at {rule['at'][:5]}" if rule else f"after {one['cooldown_days']} days"


def remove_evergreen(item_id: UUID, as_json: Json = False) -> None:
    """Keep a text no longer; posts that were planned from it stay."""
    with api() as gateway:
        found = gateway.delete(f"/content/evergreen/{item_id}")
    output.as_json(found) if as_json else output.say(f"{item_id}: removed")


def add_feed(
    bot: str,
    url: Annotated[str, typer.Argument(help="Address of an RSS or Atom feed.")],
    name: Annotated[str, typer.Option(help="Your name for it, in small letters, digits and dashes.")],
    template: Annotated[
        str | None, typer.Option(help="What a post says, of the slots title, link, summary and published.")
    ] = None,
    cap: Annotated[int, typer.Option(min=1, max=48, help="Posts a day at most.")] = 3,
    campaign: Annotated[str | None, typer.Option(help="Mark links with utm_source=x and this campaign.")] = None,
    as_json: Json = False,
) -> None:
    """Make drafts of what is new in a feed; what it holds now is taken for old."""
    wanted: dict[str, Any] = {"bot": bot.removeprefix("@"), "name": name, "url": url, "cap_per_day": cap}
    if template:
        wanted["template"] = template
    if campaign:
        wanted["utm"] = {"campaign": campaign}
    with api() as gateway:
        found = gateway.post("/content/feeds", wanted)
    if as_json:
        output.as_json(found)
    else:
        output.say(f"{found['id']}: @{found['bot']} reads '{found['name']}'; `vivesphere run read-feeds` reads it now")


def list_feeds(as_json: Json = False) -> None:
    """List feeds, with when each was last good and what is wrong."""
    with api() as gateway:
        found = gateway.get("/content/feeds")
    if as_json:
        output.as_json(found)
        return
    rows = [{**one, "good": output.local(one["good_at"]) or "never"} for one in found]
    output.table(rows, FEEDS, "there are no feeds: `vivesphere content feeds add` reads one")


def remove_feed(feed_id: UUID, as_json: Json = False) -> None:
    """Read a feed no longer; drafts that were made of it stay."""
    with api() as gateway:
        found = gateway.delete(f"/content/feeds/{feed_id}")
    output.as_json(found) if as_json else output.say(f"{feed_id}: removed")
