"""`vivesphere notify`: where operators are told what is wrong, and what they were told."""

import sys
from typing import Annotated, Any, Literal, get_args

import typer

from deployments.cli import output
from deployments.cli.client import api, wait_for_run
from deployments.cli.failures import FAILED, USAGE, CommandError
from deployments.cli.output import Json
from tasks.domain.alarms import About

CHANNEL_COLUMNS = (
    ("name", "channel"),
    ("kind", "kind"),
    ("host", "host"),
    ("about", "of what"),
    ("created_by", "added by"),
    ("since", "since"),
)
LOG_COLUMNS = (
    ("at", "when"),
    ("channel", "channel"),
    ("title", "what"),
    ("state", "state"),
    ("tries", "tries"),
    ("problem", "why not"),
)
LOG_LENGTH = 20
Name = Annotated[str, typer.Argument(help="The channel's name.")]


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    channels = typer.Typer(no_args_is_help=True, help="Where operators are told.")
    channels.command("list")(list_channels)
    for command in (add, remove, test):
        channels.command()(command)
    app = typer.Typer(no_args_is_help=True, help="Where operators are told what is wrong, and what they were told.")
    app.add_typer(channels, name="channels")
    app.command()(log)
    program.add_typer(app, name="notify")


def list_channels(as_json: Json = False) -> None:
    """List channels; their addresses and secrets are in the vault and are never shown."""
    with api() as gateway:
        found = gateway.get("/notifications/channels")
    if as_json:
        output.as_json(found)
        return
    rows = [
        {**row, "about": ", ".join(row["about"]) or "everything", "since": output.local(row["created_at"])}
        for row in found
    ]
    output.table(rows, CHANNEL_COLUMNS, "nobody is told: add a channel with `vivesphere notify channels add`")


def add(
    name: Name,
    kind: Annotated[Literal["webhook", "slack", "email"], typer.Option(help="What is at the other end.")],
    about: Annotated[
        list[str] | None, typer.Option(help=f"Only of this, more than once: {', '.join(get_args(About))}.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="email: the mail server.")] = None,
    port: Annotated[int, typer.Option(help="email: its port.")] = 587,
    security: Annotated[
        Literal["starttls", "tls", "none"], typer.Option(help="email: how it is spoken to.")
    ] = "starttls",
    username: Annotated[str, typer.Option(help="email: whom to sign in as, if anybody.")] = "",
    sender: Annotated[str | None, typer.Option(help="email: whom it comes from.")] = None,
    to: Annotated[list[str] | None, typer.Option(help="email: whom it goes to, more than once.")] = None,
    as_json: Json = False,
) -> None:
    """Add a channel. The address of a webhook or the password of a mail server is asked for, or read from the standard
    input: it is a secret, and an argument could be read by everybody on this machine."""
    if kind == "email":
        if host is None or sender is None or not to:
            raise CommandError("a channel by email needs --host, --sender and --to", USAGE)
        target: dict[str, Any] = {"host": host, "port": port, "security": security, "sender": sender, "recipients": to}
        target |= {"username": username, "password": _secret("Password")} if username else {}
    else:
        target = {"url": _secret("Address")}
    with api() as gateway:
        added = gateway.post(
            "/notifications/channels", {"name": name, "about": about or [], "target": {"kind": kind, **target}}
        )
    if as_json:
        output.as_json(added)
        return
    output.say(f"{name} is added; try it with `vivesphere notify channels test {name}`")
    if added["signing_secret"]:
        output.say("its messages are signed by this secret, which is not shown again:", problem=True)
        output.text(added["signing_secret"])


def remove(name: Name) -> None:
    """Take a channel out of use; its address and secret are deleted."""
    with api() as gateway:
        gateway.delete(f"/notifications/channels/{name}")
    output.say(f"{name} is told nothing any more")


def test(name: Name, as_json: Json = False) -> None:
    """Send a word of no consequence, and say what became of it."""
    with api() as gateway:
        run = wait_for_run(gateway, gateway.post(f"/notifications/channels/{name}/test")["flow_run_id"])
        last = next((one for one in _latest(gateway) if one["channel"] == name and one["about"] == "test"), None)
    if as_json:
        output.as_json({"run": run, "delivery": last})
    elif last is not None and last["state"] == "sent":
        output.say(f"{name} took it after {last['tries']} tries")
    else:
        why = last["problem"] if last else f"the run {run['state']}: {run['message'] or 'see its page'}"
        output.say(f"{name} did not take it: {why}", problem=True)
    if run["state"] != "completed":
        raise typer.Exit(FAILED)


def log(as_json: Json = False) -> None:
    """Show what operators were told lately, the latest first."""
    with api() as gateway:
        found = _latest(gateway)
    if as_json:
        output.as_json(found)
        return
    rows = [{**row, "at": output.local(row["created_at"])} for row in found]
    output.table(rows, LOG_COLUMNS, "nothing was told yet")


def _latest(gateway: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.part("/notifications/deliveries", limit=LOG_LENGTH)
    return found


def _secret(what: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True))
    secret = sys.stdin.readline().strip()
    if not secret:
        raise CommandError(f"no {what.lower()} on the standard input: pipe it in", USAGE)
    return secret
