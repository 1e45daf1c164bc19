"""`vivesphere sandbox`: an X to rehearse on, alone in the foreground or that of the running stack."""

import socket
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.exc import OperationalError

from blocks.vault.errors import VaultError
from config import loading
from config.places import NotStartedError, Places
from config.settings import LOOPBACK
from deployments.cli import output, sandbox_faults, sandbox_people
from deployments.cli.failures import CommandError
from deployments.cli.output import Json
from deployments.cli.sandbox_client import ADDRESS_FILE, TOKEN_FILE, control
from deployments.local import databases

PORT = 8400
LEDGER_COLUMNS = (
    ("seq", "number"),
    ("at", "at"),
    ("kind", "kind"),
    ("username", "account"),
    ("what", "what"),
    ("usd", "usd"),
    ("traceparent", "traceparent"),
)
SPEND_COLUMNS = (
    ("app", "app"),
    ("endpoint", "endpoint"),
    ("requests", "requests"),
    ("usd", "usd"),
)
WHAT = ("text", "problem", "fault", "result", "x_post_id", "price", "step", "owner", "name")
"""The first of these that an entry has says best what it is about."""

Folder = Annotated[
    Path | None,
    typer.Option(help="Folder of a sandbox that runs alone; left out, commands speak to the stack's sandbox."),
]


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(help="An X to rehearse on: alone in the foreground, or that of the running stack.")
    app.callback(invoke_without_command=True)(alone)
    app.command()(clock)
    app.command()(ledger)
    app.command()(spend)
    app.command()(settings)
    app.command()(reset)
    sandbox_faults.register(app)
    sandbox_people.register(app)
    program.add_typer(app, name="sandbox")


def alone(
    context: typer.Context,
    folder: Folder = None,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65_535)] = PORT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = LOOPBACK,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier sandbox left in the folder.")] = False,
) -> None:
    """An X to rehearse on: alone in the foreground, or that of the running stack.

    Without a command it starts a sandbox in the foreground, with its state in --folder (default: sandbox/ in the home
    folder of the stack) until Ctrl+C. The commands speak to the sandbox of the running stack, or with --folder before
    the command to the one that was started with this folder.
    """
    context.obj = folder
    if context.invoked_subcommand is not None:
        return
    from deployments.x_sandbox.ledger import LedgerBusy
    from deployments.x_sandbox.server import Options, serve

    home = folder or Places(loading.settings()).home / "sandbox"
    _free(host, port)
    options = Options(host=host, port=port, folder=home, control_token_file=home / TOKEN_FILE, fresh=fresh)
    try:
        serve(options, lambda address: _announce(address, home))
    except LedgerBusy as busy:
        raise CommandError(str(busy)) from None


def clock(
    context: typer.Context,
    now: Annotated[str | None, typer.Option(help="Set it to this instant, such as 2027-01-31T08:00:00Z.")] = None,
    forward: Annotated[float | None, typer.Option(help="Move it on by so many seconds.")] = None,
    speed: Annotated[float | None, typer.Option(help="Let it run so many times as fast; 0 stands still.")] = None,
    wall: Annotated[bool, typer.Option("--wall", help="Bring it back to the wall clock first.")] = False,
    as_json: Json = False,
) -> None:
    """Show the sandbox's clock, or set it and its speed; that of the stack takes the stack's own time along."""
    change = {"now": now, "forward_seconds": forward, "speed": speed}
    with control(context.obj) as sandbox:
        if wall:
            sandbox.delete("/clock")
        given = {name: value for name, value in change.items() if value is not None}
        shown = sandbox.post("/clock", given) if given else sandbox.get("/clock")
    if wall or given:
        _take_along(context.obj, shown)
    if as_json:
        output.as_json(shown)
        return
    output.say(
        f"{shown['now'][:19]} UTC, {shown['ahead_seconds']:.0f} s ahead of the wall clock, speed {shown['speed']:g}"
    )


def ledger(
    context: typer.Context,
    after: Annotated[int, typer.Option(help="Entries that follow this number.", min=0)] = 0,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind, such as create; may be repeated.")] = None,
    last: Annotated[int, typer.Option(help="At most so many, the newest.", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """Show what the sandbox took and refused, oldest first."""
    entries: list[dict[str, Any]] = []
    with control(context.obj) as sandbox:
        while True:
            page = sandbox.get("/ledger", after=after, kinds=",".join(kind or []))
            if not page["entries"]:
                break
            entries = [*entries, *page["entries"]][-last:]
            after = page["next_after"]
    if as_json:
        output.as_json(entries)
        return
    output.table([_line(entry) for entry in entries], LEDGER_COLUMNS, "the ledger holds nothing of this")


def spend(context: typer.Context, as_json: Json = False) -> None:
    """Show what the requests would have cost on X, by app and endpoint."""
    with control(context.obj) as sandbox:
        shown = sandbox.get("/spend")
    if as_json:
        output.as_json(shown)
        return
    rows = [
        {"app": app["name"], "endpoint": endpoint, "requests": spent["requests"], "usd": f"{spent['usd']:.3f}"}
        for app in shown["apps"]
        for endpoint, spent in app["endpoints"].items()
    ]
    output.table(rows, SPEND_COLUMNS, "nothing was spent")
    for app in shown["apps"]:
        left = "" if app["credits_usd"] is None else f", {app['credits_usd']:.3f} left"
        output.say(f"{app['name']}: {app['usd']:.3f} USD{left}, {app['posts_read_this_month']} posts read this month")


def settings(
    context: typer.Context,
    change: Annotated[
        str | None, typer.Argument(help="A JSON object to merge in, such as '{\"duplicate_refusal\": false}'.")
    ] = None,
) -> None:
    """Print the sandbox's settings as JSON, or change some."""
    with control(context.obj) as sandbox:
        output.as_json(sandbox.get("/settings") if change is None else sandbox.post_text("/settings", change))


def reset(
    context: typer.Context,
    keep_accounts: Annotated[
        bool, typer.Option("--keep-accounts", help="Forget posts, limits, money and faults only.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Let the sandbox forget; without --keep-accounts the bots' tokens are dead afterwards."""
    what = "posts, limits, money and faults" if keep_accounts else "everything, every account and token included"
    with control(context.obj) as sandbox:
        if not yes:
            typer.confirm(f"Let the sandbox at {sandbox.address} forget {what}?", abort=True)
        sandbox.post("/reset", {"keep_accounts": keep_accounts})
        shown = sandbox.get("/clock")
    _take_along(context.obj, shown)
    output.say(f"forgotten: {what}; the ledger itself keeps its lines")


def _take_along(folder: Path | None, clock: dict[str, Any]) -> None:
    """Tokens, leases and due posts go by the database's clock: it says what the sandbox's says."""
    if folder is not None:
        return
    places = Places(loading.settings())
    wall, now = (datetime.fromisoformat(clock[name]) for name in ("wall", "now"))
    try:
        databases.set_clock(places, databases.passwords(places), wall=wall, now=now, speed=clock["speed"])
    except (NotStartedError, databases.DatabaseRefusedError, VaultError, OperationalError) as error:
        output.say(f"the stack's own time stays as it was: {error}", problem=True)


def _free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"cannot listen on {host}, port {port} ({error.strerror}): choose another with --port, or --port 0"
            ) from None


def _announce(address: str, folder: Path) -> None:
    (folder / ADDRESS_FILE).write_text(address + "\n", encoding="utf-8")
    command = f"vivesphere sandbox --folder {folder}"
    typer.echo(
        f"X sandbox: {address} (open it in a browser; Ctrl+C ends it)\n"
        f"control token: {folder / TOKEN_FILE}\n"
        f"ledger: {folder / 'ledger.jsonl'}\n\n"
        "Point any client of X at it:\n"
        f"  1. {command} tokens alice   makes an account, and prints keys and tokens of both kinds\n"
        f"  2. give the client {address} in the place of https://api.x.com, and a token\n"
        f"  3. curl {address}/2/tweets -H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json' "
        '-d \'{"text": "hello"}\''
    )


def _line(entry: dict[str, Any]) -> dict[str, Any]:
    at = entry.get("accepted_at") or entry.get("at") or entry.get("created_at") or ""
    what = next((str(entry[name]) for name in WHAT if entry.get(name)), "")
    return {**entry, "at": at[:19].replace("T", " "), "what": output.short(what)}
