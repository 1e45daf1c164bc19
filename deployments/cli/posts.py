"""`vivesphere posts`: schedule, look, cancel."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from deployments.cli import output, posts_days, posts_schedule, posts_uncertain
from deployments.cli.client import api
from deployments.cli.failures import FAILED, REFUSED, USAGE, CommandError
from deployments.cli.output import Json
from deployments.cli.posts_schedule import Wanted

PAGE = 200
COLUMNS = (
    ("id", "id"),
    ("due", "due"),
    ("bot", "bot"),
    ("status", "status"),
    ("short", "text"),
    ("reason", "reason"),
)
FACTS = (
    ("id", "id"),
    ("bot", "bot"),
    ("text", "text"),
    ("status", "status"),
    ("reason", "reason"),
    ("due", "due"),
    ("planned", "planned"),
    ("if_late", "if late"),
    ("expires", "expires"),
    ("published", "published"),
    ("x_post_id", "id on X"),
    ("external_id", "external id"),
    ("source", "came by"),
    ("created_by", "written by"),
)


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="Schedule posts, see what became of them, cancel them.")
    app.command()(schedule)
    app.command()(check)
    app.command("list")(list_posts)
    app.command()(show)
    app.command()(why)
    app.command()(cancel)
    app.command()(delete)
    app.command()(edit)
    app.command()(posts_days.release)
    app.command("resume-thread")(resume_thread)
    app.command()(posts_uncertain.held)
    app.command()(posts_uncertain.resolve)
    app.command()(posts_days.shift)
    app.command()(posts_days.blackout)
    app.command()(posts_days.blackouts)
    app.command("lift-blackout")(posts_days.lift_blackout)
    app.command()(counts)
    program.add_typer(app, name="posts")


def schedule(
    bot: Annotated[str | None, typer.Option(help="Handle of the bot that says it.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="What it says; more than once is a thread.")] = None,
    at: Annotated[
        str, typer.Option(help="2026-12-01 09:00 (the bot's own time), 2026-12-01T09:00+01:00, +10m, now, next-turn.")
    ] = "now",
    expires: Annotated[str | None, typer.Option(help="Not to be sent after this time, written like --at.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Your own name for it: the same twice is one post.")] = None,
    spread: Annotated[
        str | None, typer.Option(help="It may leave up to so much later, so that not all leave at once: 90s, 10m.")
    ] = None,
    if_late: Annotated[
        str | None,
        typer.Option(help="When it could not leave in time: skip, next-window, or how late it may be, such as 30m."),
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A CSV file: bot,text,at; if wanted external_id,expires_at,spread,if_late,thread,media,alt,poll.",
        ),
    ] = None,
    media: Annotated[list[str] | None, typer.Option(help="A picture, GIF or film; up to four pictures.")] = None,
    alt: Annotated[list[str] | None, typer.Option(help="What the picture shows, in the order of --media.")] = None,
    poll: Annotated[list[str] | None, typer.Option(help="An answer of a poll, two to four times.")] = None,
    poll_minutes: Annotated[int | None, typer.Option(help="How long the poll is open; a day if not said.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge it, and store nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Schedule one post, or every row of a file; a row that is refused stops no other."""
    now = datetime.now(UTC)
    if from_ is not None:
        if bot or text or external_id or expires or spread or if_late or media or alt or poll or poll_minutes:
            raise CommandError("--from brings everything along: leave out the options that describe one post", USAGE)
        posts_schedule.from_file(from_, now, dry_run, as_json)
        return
    if not bot or not (text or media):
        raise CommandError("say --bot and --text or --media, or --from with a file", USAGE)
    wanted = Wanted(
        bot, text or (), at, expires, external_id, spread, if_late, media or (), alt or (), poll or (), poll_minutes
    )
    posts_schedule.said(wanted, now, dry_run, as_json)


def check(
    bot: Annotated[str, typer.Option(help="Handle of the bot that would say it.")],
    text: Annotated[list[str], typer.Option(help="What it would say; more than once is a thread.")],
    at: Annotated[str, typer.Option(help="When, written as for `posts schedule`.")] = "now",
    as_json: Json = False,
) -> None:
    """Say what the gate says of a post, rule by rule, with what was seen and what to do; nothing is stored."""
    wanted = Wanted(bot, text, at, None, None, None, None, (), (), (), None)
    posts_schedule.checked(wanted, datetime.now(UTC), as_json)


def edit(
    post_id: UUID,
    text: Annotated[str | None, typer.Option(help="What it is to say.")] = None,
    at: Annotated[str | None, typer.Option(help="When, written as for `posts schedule`.")] = None,
    expires: Annotated[str | None, typer.Option(help="Not to be sent after this time.")] = None,
    spread: Annotated[str | None, typer.Option(help="It may leave up to so much later: 90s, 10m.")] = None,
    if_late: Annotated[str | None, typer.Option(help="skip, next-window, or how late it may be.")] = None,
    as_json: Json = False,
) -> None:
    """Change a post that is not on its way yet; it is judged anew, and what the gate refuses stays as it was."""
    now = datetime.now(UTC)
    change: dict[str, Any] = posts_schedule.latitudes(spread, if_late)
    with api() as gateway:
        post = gateway.get(f"/posts/{post_id}")
        zone_of = posts_schedule.zones(gateway)
        for name, column, written in (("due_at", "at", at), ("expires_at", "expires_at", expires)):
            if written:
                change[name] = posts_schedule.when(written, post["bot"], column, now, zone_of).at.isoformat()
        if text is not None:
            change["text"] = text
        if not change:
            raise CommandError("say what is to be different: --text, --at, --expires, --spread or --if-late", USAGE)
        found = gateway.patch(f"/posts/{post_id}", change, post["revision"])
    if as_json:
        output.as_json(found)
    elif found["receipt"]["result"] == "refused":
        output.say(f"{post_id}: unchanged: {'; '.join(found['receipt']['reasons'])}", problem=True)
    else:
        output.say(f"{post_id}: revision {found['post']['revision']}, due {output.local(found['post']['due_at'])}")
    if found["receipt"]["result"] == "refused":
        raise typer.Exit(REFUSED)


def resume_thread(post_id: UUID, as_json: Json = False) -> None:
    """Let the rest of a broken thread follow its last part that is out; POST_ID is any part of it."""
    with api() as gateway:
        found = gateway.post(f"/posts/{post_id}/resume-thread")
    if as_json:
        output.as_json(found)
        return
    output.say(f"{len(found['going_on'])} parts go on, {len(found['left_out'])} left the thread")


def list_posts(
    bot: Annotated[str | None, typer.Option(help="Only of this bot.")] = None,
    status: Annotated[str | None, typer.Option(help="Only in this status, such as scheduled or unknown.")] = None,
    label: Annotated[str | None, typer.Option(help="Only of bots with this label.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many.")] = 50,
    as_json: Json = False,
) -> None:
    """List posts, the latest first."""
    found: list[dict[str, Any]] = []
    cursor = None
    with api() as gateway:
        while len(found) < limit:
            size = min(PAGE, limit - len(found))
            page = gateway.get("/posts", bot=bot, status=status, label=label, limit=size, cursor=cursor)
            found += page["posts"]
            cursor = page["next"]
            if cursor is None:
                break
    if as_json:
        output.as_json(found)
        return
    output.table([_for_people(post) for post in found], COLUMNS, "there are no such posts")


def show(post_id: UUID, as_json: Json = False) -> None:
    """Show one post with what the gate said and what each attempt brought."""
    with api() as gateway:
        found = gateway.get(f"/posts/{post_id}")
    if as_json:
        output.as_json(found)
        return
    output.facts(_for_people(found), FACTS)
    for shown in found["media"]:
        output.say(
            f"shows      {shown['file_name']} ({shown['media_type']}): {shown['alt_text'] or 'no alternative text'}"
        )
    for earlier in found["earlier"]:
        output.say(
            f"before     revision {earlier['revision']}, until {output.local(earlier['replaced_at'])}: "
            f"{output.short(earlier['text'])}"
        )
    for verdict in found["verdicts"]:
        said = "allowed" if verdict["allowed"] else "refused"
        because = "; ".join(f"{finding['rule']}: {finding['evidence']}" for finding in verdict["findings"])
        if verdict["approved_by"]:
            because += f"; approved by {verdict['approved_by']}"
        output.say(f"gate       revision {verdict['revision']} {said} {because}".rstrip())
    for attempt in found["tries"]:
        ended = attempt["ended"] or "under way"
        more = " ".join(str(part) for part in (attempt["http_status"], attempt["problem"]) if part)
        output.say(f"attempt    {output.local(attempt['marked_at'])} {ended} {more}".rstrip())


def why(post_id: UUID, as_json: Json = False) -> None:
    """Tell the whole story of one post: why it went out, or why it did not."""
    with api() as gateway:
        found = gateway.get(f"/posts/{post_id}/why")
    if as_json:
        output.as_json(found)
        return
    output.say(f"@{found['bot']} {found['status']}: {output.short(found['text'])}")
    for line in found["lines"]:
        output.say(f"{output.local(line['at'])}  {line['said']}")
    for said in found["now"]:
        output.say(said)


def cancel(post_ids: list[UUID], as_json: Json = False) -> None:
    """Cancel posts that are not on their way yet; one that is too late stops no other."""
    _each(post_ids, "cancel", "cancelled", as_json)


def delete(post_ids: list[UUID], as_json: Json = False) -> None:
    """Have posts that are out deleted on X; one that is not out stops no other."""
    _each(post_ids, "delete", "will be gone from X within a minute", as_json)


def _each(post_ids: list[UUID], action: str, done: str, as_json: bool) -> None:
    found: list[dict[str, Any]] = []
    failed = False
    with api() as gateway:
        for post_id in post_ids:
            try:
                found.append(gateway.post(f"/posts/{post_id}/{action}"))
            except CommandError as error:
                if error.code != FAILED:
                    raise
                failed = True
                output.say(f"{post_id}: {error.text}", problem=True)
            else:
                if not as_json:
                    output.say(f"{post_id}: {done}")
    if as_json:
        output.as_json(found)
    if failed:
        raise typer.Exit(FAILED)


def counts(as_json: Json = False) -> None:
    """Count posts by status."""
    with api() as gateway:
        found = gateway.get("/posts/counts")
    if as_json:
        output.as_json(found)
        return
    rows = [{"status": status, "posts": number} for status, number in sorted(found.items())]
    output.table(rows, (("status", "status"), ("posts", "posts")), "there are no posts")


def _for_people(post: dict[str, Any]) -> dict[str, Any]:
    return {
        **post,
        "due": output.local(post["due_at"]),
        "planned": output.local(post["planned_at"]),
        "if_late": _if_late(post),
        "expires": output.local(post["expires_at"]),
        "published": output.local(post["published_at"]),
        "short": output.short(post["text"]),
    }


def _if_late(post: dict[str, Any]) -> str:
    within = post["misfire_within_seconds"]
    if post["misfire"] == "send_if_within":
        return f"sent if within {within} s" if within else "sent if within the settings' grace"
    return "skipped" if post["misfire"] == "skip" else "moved to the bot's next window"
