"""`vivesphere posts shift | blackout | blackouts | lift-blackout | release`: many posts at once."""

from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.failures import FAILED, REFUSED, USAGE, CommandError
from deployments.cli.output import Json
from tasks.domain import schedule
from tasks.domain.schedule import WhenError

MOVED = (("post_id", "id"), ("bot", "bot"), ("due", "due"), ("new", "now"), ("said", "result"))
BLACKOUTS = (("id", "id"), ("day", "day"), ("whom", "for"), ("reason", "reason"), ("created_by", "by"))
Bot = Annotated[str | None, typer.Option(help="Only of this bot.")]
Label = Annotated[str | None, typer.Option(help="Only of bots with this label.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]


def shift(
    by: Annotated[str, typer.Option(help="How far: 2h, 1d; with a minus earlier: -30m.")],
    since: Annotated[str, typer.Option(help="Posts due from then on: now, +1h, 2026-12-01T09:00+01:00.")] = "now",
    until: Annotated[str, typer.Option(help="And before then, written likewise.")] = "+1d",
    bot: Bot = None,
    label: Label = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Move posts that wait for their instant; each is judged anew, and what is refused stays where it was."""
    now = datetime.now(UTC)
    try:
        length = schedule.duration(by.removeprefix("-"))
        first, last = (schedule.instant(one, now, None).at for one in (since, until))
    except WhenError as error:
        raise CommandError(str(error), USAGE) from None
    wanted = {
        "seconds": int(length.total_seconds()) * (-1 if by.startswith("-") else 1),
        "since": first.isoformat(),
        "until": last.isoformat(),
        "bot": bot,
        "label": label,
    }
    with api() as gateway:
        found = gateway.post_long("/content/shift", wanted, dry_run=dry_run)
    _say(found, "would move" if dry_run else "moved", as_json)


def blackout(
    day: Annotated[str, typer.Argument(help="A day by each bot's own clock: 2026-12-24.")],
    reason: Annotated[str, typer.Option(help="Why; the others read it.")],
    bot: Bot = None,
    label: Label = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Cancel what is scheduled on a day, and plan nothing on it; without --bot and --label for the whole fleet."""
    try:
        date.fromisoformat(day)
    except ValueError:
        raise CommandError(f"'{day}' is no day; write 2026-12-24", USAGE) from None
    wanted = {"day": day, "reason": reason, "bot": bot, "label": label}
    with api() as gateway:
        found = gateway.post_long("/content/blackouts", wanted, dry_run=dry_run)
    if as_json:
        output.as_json(found)
        return
    _say(found["cancelled"], "would be cancelled" if dry_run else "cancelled", as_json)
    if found["blackout"]:
        output.say(f"{found['blackout']['id']}: nothing is planned on {day}; `posts lift-blackout` ends that")


def blackouts(as_json: Json = False) -> None:
    """List the days to come on which nothing is planned."""
    with api() as gateway:
        found = gateway.get("/content/blackouts")
    if as_json:
        output.as_json(found)
        return
    rows = [
        {**one, "whom": f"@{one['bot']}" if one["bot"] else f"label {one['label']}" if one["label"] else "the fleet"}
        for one in found
    ]
    output.table(rows, BLACKOUTS, "no day is blacked out")


def lift_blackout(blackout_id: UUID, as_json: Json = False) -> None:
    """Let that day be planned again; what was cancelled stays cancelled."""
    with api() as gateway:
        found = gateway.delete(f"/content/blackouts/{blackout_id}")
    output.as_json(found) if as_json else output.say(f"{found['day']}: may be planned again")


def release(post_ids: list[UUID], as_json: Json = False) -> None:
    """Let drafts go out at their instants; each is judged anew, and what is refused stays a draft."""
    found: list[dict[str, Any]] = []
    with api() as gateway:
        for post_id in post_ids:
            receipt = gateway.post(f"/content/drafts/{post_id}/release")
            found.append(receipt)
            refused = receipt["result"] == "refused"
            if not as_json:
                said = f"stays a draft: {'; '.join(receipt['reasons'])}" if refused else "released"
                output.say(f"{post_id}: {said}", problem=refused)
    if as_json:
        output.as_json(found)
    if any(one["result"] == "refused" for one in found):
        raise typer.Exit(REFUSED)


def _say(found: list[dict[str, Any]], done: str, as_json: bool) -> None:
    if as_json:
        output.as_json(found)
    else:
        rows = [
            {
                **one,
                "due": output.local(one["due_at"]),
                "new": output.local(one["new_due_at"]),
                "said": f"not: {'; '.join(one['reasons'])}" if one["reasons"] else done,
            }
            for one in found
        ]
        output.table(rows, MOVED, "no such posts wait for their instant")
        output.say(f"{sum(not one['reasons'] for one in found)} posts {done}")
    if any(one["reasons"] for one in found):
        raise typer.Exit(FAILED)
