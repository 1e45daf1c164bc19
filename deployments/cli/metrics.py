"""`vivesphere metrics`: what posts and accounts achieved."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli import output
from deployments.cli.client import Api, api, wait_for_run
from deployments.cli.failures import FAILED, USAGE, CommandError
from deployments.cli.output import Json

COLUMNS = (
    ("app", "app"),
    ("accounts", "accounts"),
    ("posts", "posts"),
    ("put_off", "wait for money"),
    ("calls", "requests"),
    ("usd", "USD"),
    ("allowance_usd", "USD left today"),
)
TOP_COLUMNS = (
    ("bot", "bot"),
    ("out", "out"),
    ("impressions", "views"),
    ("engaged", "engaged"),
    ("rate", "rate"),
    ("template", "template"),
    ("text", "text"),
    ("post_id", "id"),
)
BOT_COLUMNS = (
    ("posts", "posts"),
    ("impressions", "views"),
    ("engaged", "engaged"),
    ("rate", "engagement rate"),
    ("x_rate", "X's engagement rate"),
    ("half_life", "half-life"),
    ("followers", "followers"),
    ("weekly", "growth a week"),
    ("history", "against its history"),
    ("advice", "what to do"),
)
POST_COLUMNS = (
    ("at", "at"),
    ("age", "age"),
    ("impressions", "views"),
    ("likes", "likes"),
    ("reposts", "reposts"),
    ("replies", "replies"),
    ("quotes", "quotes"),
    ("bookmarks", "bookmarks"),
    ("engagements", "engagements (X)"),
)
HOUR_COLUMNS = (("when", "best times"), ("lift", "better by"), ("interval", "95 %"), ("posts", "posts"))
ORDERS = ("engaged", "impressions", "likes", "reposts", "replies", "quotes", "bookmarks", "rate")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DEPLOYMENT = "collect-metrics/every-5-minutes"
REPORT = "report-fleet/daily"
HOURS_SHOWN = 5

Label = Annotated[str | None, typer.Option(help="Only bots with this label.")]
Days = Annotated[int, typer.Option(min=1, max=366, help="Posts that came out in so many days.")]


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="What posts and accounts achieved.")
    for command in (collect, top, bot, post, report, export):
        app.command()(command)
    program.add_typer(app, name="metrics")


def collect(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many requests it would take and what they would cost, and stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read from X what is due now."""
    with api() as gateway:
        if not dry_run:
            started = gateway.post("/runs", {"deployment": DEPLOYMENT, "arguments": {}})
            output.as_json(started) if as_json else output.say(f"{started['deployment']} starts: {started['page']}")
            return
        found: dict[str, Any] = gateway.get("/metrics/plan")
    if as_json:
        output.as_json(found)
        return
    rows = [
        {**app, "app": app["app"] or "-", "allowance_usd": app["allowance_usd"] or "no budget"} for app in found["apps"]
    ]
    output.table(rows, COLUMNS, "nothing is due")
    output.say(f"at most {found['calls']} requests, {found['usd']} USD; nothing was read")


def top(
    by: Annotated[str, typer.Option(help=f"One of {', '.join(ORDERS)}.")] = "engaged",
    days: Days = 7,
    label: Label = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most this many.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the best posts of the last days."""
    if by not in ORDERS:
        raise CommandError(f"--by: write one of {', '.join(ORDERS)}", USAGE)
    with api() as gateway:
        found = gateway.get("/metrics/top", by=by, days=days, label=label, limit=limit)
    if as_json:
        output.as_json(found)
        return
    rows = [
        {
            **one,
            "bot": f"@{one['bot']}",
            "out": output.local(one["published_at"]),
            "rate": _percent(one["rate"]),
            "text": output.short(one["text"]),
        }
        for one in found
    ]
    output.table(rows, TOP_COLUMNS, "no post of that time was measured")


def bot(handle: Annotated[str, typer.Argument(help="The bot's handle.")], as_json: Json = False) -> None:
    """Show how a bot does, whether its posts are seen far less than they used to be, and its best times."""
    name = handle.removeprefix("@")
    with api() as gateway:
        insight = gateway.get(f"/metrics/bots/{name}/insight")
        hours = gateway.get(f"/metrics/bots/{name}/best-times")
    if as_json:
        output.as_json({"insight": insight, "best_times": hours})
        return
    if insight is None:
        output.say(f"nothing is known of @{name} yet: {REPORT} learns from posts that are a day old", problem=True)
        return
    output.say(f"@{insight['bot']}, posts of {insight['days']} days, as found {output.local(insight['made_at'])}")
    output.facts(_insight(insight), BOT_COLUMNS)
    best = sorted(hours, key=lambda hour: -hour["lift"])[:HOURS_SHOWN]
    output.table([_hour(hour) for hour in best], HOUR_COLUMNS, "no best times are known yet")


def post(post_id: Annotated[str, typer.Argument(help="The post's id.")], as_json: Json = False) -> None:
    """Show how a post that is out went."""
    with api() as gateway:
        found = gateway.get(f"/metrics/posts/{post_id}")
    if as_json:
        output.as_json(found)
        return
    output.say(f"@{found['bot']}, out {output.local(found['published_at'])}: {output.short(found['text'], 200)}")
    out = datetime.fromisoformat(found["published_at"])
    rows = [
        {
            **one,
            "at": output.local(one["bucket_at"]),
            "age": f"{(datetime.fromisoformat(one['bucket_at']) - out).total_seconds() / 3600:.1f} h",
        }
        for one in found["snapshots"]
    ]
    output.table(rows, POST_COLUMNS, "nothing was read of it yet, or its snapshots are kept no longer")


def report(
    label: Label = None,
    days: Annotated[int | None, typer.Option(min=7, max=366, help="About so many days.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the HTML file goes.")] = None,
    latest: Annotated[bool, typer.Option("--latest", help="Take the newest that there is, make none.")] = False,
    as_json: Json = False,
) -> None:
    """Make a report, of the fleet or for the client behind a label, and save it as one HTML file."""
    with api() as gateway:
        if not latest:
            _make(gateway, label, days)
        found = gateway.get("/metrics/reports/latest", label=label)
        path = out or Path(f"report-{label or 'fleet'}-{found['until']}.html")
        page = "\n".join(gateway.lines(f"/metrics/reports/{found['id']}/page"))
    try:
        path.write_text(page + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path}: cannot be written: {error.strerror}") from None
    if as_json:
        output.as_json({**found, "file": str(path)})
        return
    output.say(f"{found['since']} to {found['until']}, made {output.local(found['made_at'])}: {path}")


def export(
    out: Annotated[Path | None, typer.Option(help="Where the CSV goes; left out: to the standard output.")] = None,
    label: Label = None,
    since: Annotated[str | None, typer.Option(help="From this day (UTC) on: 2026-12-01.")] = None,
    until: Annotated[str | None, typer.Option(help="To this day, it included.")] = None,
) -> None:
    """Write what each bot gained on each day (UTC) as CSV."""
    with api() as gateway:
        lines = gateway.lines("/metrics/export", label=label, since=since, until=until)
        if out is None:
            for line in lines:
                output.text(line)
            return
        try:
            with out.open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        except OSError as error:
            raise CommandError(f"{out}: cannot be written: {error.strerror}") from None
    output.say(f"written: {out}")


def _make(gateway: Api, label: str | None, days: int | None) -> None:
    arguments = {name: value for name, value in (("label", label), ("days", days)) if value is not None}
    started = gateway.post("/runs", {"deployment": REPORT, "arguments": arguments})
    run = wait_for_run(gateway, started["flow_run_id"])
    if run["state"] != "completed":
        raise CommandError(f"the report was not made, the run {run['state']}: see {started['page']}", FAILED)


def _insight(found: Mapping[str, Any]) -> dict[str, Any]:
    life, share = found["half_life_hours"], found["share"]
    low, high = found["rate_low"], found["rate_high"]
    interval = "" if low is None else f" (95 %: {_percent(low)} to {_percent(high)})"
    left = "" if share is None else f", {100 * share:.0f} % of its usual views"
    return {
        **found,
        "rate": f"{_percent(found['rate'])}{interval}",
        "x_rate": _percent(found["x_rate"]),
        "half_life": None if life is None else f"{life:.1f} hours",
        "weekly": _percent(found["weekly"]),
        "history": f"{found['verdict']}{left}",
    }


def _hour(hour: Mapping[str, Any]) -> dict[str, Any]:
    low, high = 100 * (hour["low"] - 1), 100 * (hour["high"] - 1)
    return {
        "when": f"{WEEKDAYS[hour['weekday']]} {hour['hour']:02d}:00",
        "lift": f"{100 * (hour['lift'] - 1):+.0f} %",
        "interval": f"{low:+.0f} to {high:+.0f} %",
        "posts": hour["posts"],
    }


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.2f} %"
