"""`vivesphere credentials`: what there is, how old it is, what is due, and whether each role may only what it must."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from config import loading
from config.places import Places
from deployments.cli import output
from deployments.cli.client import Api, api, wait_for_run
from deployments.cli.failures import FAILED, PERSON_NEEDED, USAGE, CommandError
from deployments.cli.output import Json

COLUMNS = (
    ("kind", "kind"),
    ("owner", "owner"),
    ("age", "age"),
    ("expires", "expires"),
    ("rotated", "last rotated"),
    ("next", "next"),
    ("state", "state"),
)
PLAN_COLUMNS = (
    ("order", "order"),
    ("kind", "kind"),
    ("owner", "owner"),
    ("step", "step"),
    ("due", "due"),
    ("serves", "stops where it breaks"),
)
RUN = "rotate-credentials/every-5-minutes"
DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS = 86_400, 3600, 60


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="Credentials of bots, apps and this stack: age, plan, rotation.")
    app.command("list")(list_credentials)
    app.command()(plan)
    app.command()(provide)
    app.command()(rollback)
    app.command()(abandon)
    app.command()(reveal)
    app.command()(doctor)
    program.add_typer(app, name="credentials")


def list_credentials(as_json: Json = False) -> None:
    """List every credential with its age and what is next; no secret is ever printed."""
    with api() as gateway:
        found = gateway.get("/credentials")
    if as_json:
        output.as_json(found)
        return
    now = datetime.now(UTC)
    rows = [
        {
            **row,
            "age": age(now, row["issued_at"]),
            "expires": output.local(row["expires_at"]),
            "rotated": output.local(row["rotated_at"]),
            "next": output.local(row["next_at"]),
        }
        for row in found
    ]
    output.table(rows, COLUMNS, "there are no credentials yet: add an app with `vivesphere apps add`")


def plan(as_json: Json = False) -> None:
    """Show what falls due, in the order in which it is done, and what stops where it breaks; changes nothing.

    The first new version that fails its test ends the run; the one in use stays, and what follows is left alone.
    """
    with api() as gateway:
        found = gateway.get("/credentials/plan")
    if as_json:
        output.as_json(found)
        return
    rows = [{**row, "order": number, "due": output.local(row["due_at"])} for number, row in enumerate(found, 1)]
    output.table(rows, PLAN_COLUMNS, "nothing is to be rotated")


def provide(
    app: Annotated[str, typer.Argument(help="The app whose new client secret it is.")], as_json: Json = False
) -> None:
    """Enter an app's new client secret, hidden or on the standard input; the run tests it against X and uses it."""
    secret = _secret()
    with api() as gateway:
        begun = gateway.post("/credentials/provide", {"app": app, "client_secret": secret})
        _run(gateway, begun, as_json)


def rollback(
    app: Annotated[str, typer.Argument(help="The app.")],
    reason: Annotated[str, typer.Option(help="Why; it is audited.")],
    as_json: Json = False,
) -> None:
    """Use an app's secret before again; refused unless X took it when the new one was tested, and takes it now."""
    with api() as gateway:
        found = gateway.post("/credentials/rollback", {"app": app, "reason": reason})
    if as_json:
        output.as_json(found)
    else:
        output.say(f"{app}: version {found['version']} is in use again")


def abandon(
    kind: Annotated[str, typer.Argument(help="As `credentials list` prints it, such as x_app_keys.")],
    owner: Annotated[str, typer.Argument(help="Whose version on its way is to end.")],
    reason: Annotated[str, typer.Option(help="Why; it is audited.")],
    as_json: Json = False,
) -> None:
    """Give up a version that cannot go on; a run ends it, what it had stopped goes on, and the one in use stays."""
    with api() as gateway:
        given_up = gateway.post("/credentials/abandon", {"kind": kind, "owner": owner, "reason": reason})
        _run(gateway, given_up, as_json)


def reveal(
    app: Annotated[str, typer.Argument(help="The app whose client secret is to be shown.")],
    reason: Annotated[str, typer.Option(help="Why; it is audited.")],
) -> None:
    """Print an app's client secret, each version once; nothing else is ever shown."""
    with api() as gateway:
        found = gateway.post("/credentials/reveal", {"kind": "x_app_client", "owner": app, "reason": reason})
    output.say(f"client secret of {app}, version {found['version']}; it is not shown again:", problem=True)
    output.text(found["secret"])


def doctor(as_json: Json = False) -> None:
    """Prove least privilege: each of the vault's roles tries what must be refused; exit 1 where one was not."""
    from deployments.local import least_privilege

    found = least_privilege.prove(Places(loading.settings()))
    if as_json:
        output.as_json(
            [{"role": one.role, "refused": one.refused, "allowed": one.allowed, "away": one.away} for one in found]
        )
    else:
        for one in found:
            output.say(_line(one))
    if not all(one.well for one in found):
        raise typer.Exit(FAILED)


def age(now: datetime, since: str) -> str:
    """How long ago that was, by its largest unit."""
    seconds = int((now - datetime.fromisoformat(since)).total_seconds())
    for unit, length in (("d", DAY_SECONDS), ("h", HOUR_SECONDS), ("min", MINUTE_SECONDS)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{max(seconds, 0)} s"


def _line(proof: Any) -> str:
    if proof.away:
        return f"** {proof.role}: nothing could be tried: {proof.away}"
    if proof.allowed:
        return f"** {proof.role}: was allowed to {'; '.join(proof.allowed)}. Run `vivesphere up`, which sets its policy"
    return f"ok  {proof.role}: {proof.refused} of {proof.refused} refused"


def _run(gateway: Api, begun: dict[str, Any], as_json: bool) -> None:
    """Let the flow go on with what was begun, see it through, and say where that led."""
    ended = wait_for_run(gateway, gateway.post("/runs", {"deployment": RUN})["flow_run_id"])
    rows = [
        row for row in gateway.get("/credentials") if (row["kind"], row["owner"]) == (begun["kind"], begun["owner"])
    ]
    if as_json:
        output.as_json({**begun, "run": ended, "versions": rows})
    else:
        for row in rows:
            output.say(f"{row['kind']} {row['owner']} version {row['version']}: {row['state']}. {row['said'] or ''}")
    if ended["state"] != "completed":
        output.say(f"the run {ended['state']}: {ended['message'] or 'see its page'}", problem=True)
        raise typer.Exit(FAILED)
    if any(row["state"] == "on its way" for row in rows):
        raise typer.Exit(PERSON_NEEDED)


def _secret() -> str:
    """Never an argument: those stand in the process table and in the shell's history."""
    if sys.stdin.isatty():
        return str(typer.prompt("New client secret", hide_input=True))
    secret = sys.stdin.readline().strip()
    if not secret:
        raise CommandError("no client secret on the standard input: pipe it in", USAGE)
    return secret
