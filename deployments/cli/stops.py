"""`vivesphere stop | stops | resume`: nothing goes out, until a person says so."""

import asyncio
import os
import pwd
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer

from config import loading
from config.places import NotStartedError, Places
from deployments.cli import output
from deployments.cli.client import api
from deployments.cli.failures import USAGE, CommandError
from deployments.cli.output import Json
from tasks.domain import schedule
from tasks.domain.schedule import WhenError

# The gateway is given this long to show that it serves; then the database is asked without it.
GATEWAY_SECONDS = 1.0
COLUMNS = (
    ("id", "id"),
    ("whom", "stopped"),
    ("reason", "reason"),
    ("created_by", "by"),
    ("since", "since"),
    ("until", "until"),
)
OVERDUE = (("bot", "bot"), ("goes_out", "go out"), ("expires", "too late"))


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    program.command()(stop)
    app = typer.Typer(no_args_is_help=True, help="The stops in force.")
    app.command("list")(list_stops)
    app.callback()(lambda: None)
    program.add_typer(app, name="stops")
    program.command()(resume)


def stop(
    reason: Annotated[str, typer.Option(help="Why; the others read it.")],
    bot: Annotated[str | None, typer.Option(help="Only this bot.")] = None,
    app: Annotated[str | None, typer.Option(help="Only the bots of this app.")] = None,
    label: Annotated[str | None, typer.Option(help="Only the bots with this label.")] = None,
    until: Annotated[str | None, typer.Option(help="Ends by itself then: 2026-12-01T09:00+01:00, +2h.")] = None,
    hard: Annotated[
        bool, typer.Option("--hard", help="Also kill every sender on this host; what was on its way is unknown then.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Stop the fleet, or one bot, app or label: once it returns nothing starts any more."""
    chosen = {scope: name for scope, name in (("bot", bot), ("app", app), ("label", label)) if name}
    if len(chosen) > 1:
        raise CommandError("say one of --bot, --app and --label; call it again for another", USAGE)
    scope, name = next(iter(chosen.items()), ("fleet", None))
    try:
        ends_at = schedule.instant(until, datetime.now(UTC), None).at if until else None
    except WhenError as error:
        raise CommandError(f"--until: {error}", USAGE) from None
    body = {
        "scope": scope,
        "name": name.removeprefix("@") if name else None,
        "reason": reason,
        "ends_at": ends_at.isoformat() if ends_at else None,
        "hard": hard,
    }
    if _gateway_serves():
        with api() as gateway:
            stopped = gateway.post("/stops", body)
    else:
        output.say("the gateway does not answer: stopping in the database itself", problem=True)
        stopped = asyncio.run(_stop_without_gateway(body))
    if as_json:
        output.as_json(stopped)
        return
    output.say(f"stopped {_whom(stopped['stop'])}: nothing starts from now on; stop {stopped['stop']['id']}")
    if stopped["ended_marks"]:
        output.say(f"{stopped['ended_marks']} frozen sessions were ended; what they had in hand was not sent")
    if stopped["killed"]:
        output.say(f"killed {len(stopped['killed'])} senders: what was on its way is looked up on X by itself")
    for flying in stopped["in_flight"]:
        output.say(f"in flight: @{flying['bot']} post {flying['post_id']}: it left before, X may still take it")


def list_stops(as_json: Json = False) -> None:
    """List the stops in force."""
    with api() as gateway:
        found = gateway.get("/stops")
    if as_json:
        output.as_json(found)
        return
    output.table([_for_people(row) for row in found], COLUMNS, "nothing is stopped")


def resume(
    stop_ids: Annotated[list[UUID] | None, typer.Argument(help="Stops to lift; none: all that are in force.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Lift stops, and say first how many due posts would go out and how many are too late."""
    with api() as gateway:
        ids = [str(stop_id) for stop_id in stop_ids or ()] or [row["id"] for row in gateway.get("/stops")]
        if not ids:
            output.say("nothing is stopped")
            return
        look = gateway.get("/stops/resumption", id=ids)
        if not as_json:
            for row in look["stops"]:
                output.say(f"lifts the stop of {_whom(row)}, set by {row['created_by']}: {row['reason']}")
            _say_overdue(look["overdue"])
        if not yes and not typer.confirm("Resume?", err=True):
            raise typer.Abort
        done = gateway.post("/stops/resume", ids)
    if as_json:
        output.as_json(done)
    else:
        output.say(f"resumed: {len(done['stops'])} stops lifted")


def _say_overdue(overdue: list[dict[str, Any]]) -> None:
    goes_out, expires = (sum(row[key] for row in overdue) for key in ("goes_out", "expires"))
    output.say(f"posts that are due already: {goes_out} would go out, {expires} are too late and expire")
    if overdue:
        output.table(overdue, OVERDUE, "")


def _gateway_serves() -> bool:
    places = Places(loading.settings())
    try:
        address, trust = places.gateway, places.gateway_trust()
        answer = httpx.get(f"{address}/api/v1/health", timeout=GATEWAY_SECONDS, trust_env=False, verify=trust)
    except (httpx.HTTPError, NotStartedError, OSError):
        return False
    return answer.is_success


async def _stop_without_gateway(body: Mapping[str, Any]) -> Any:
    """As the admin of the database, whose password lies in a file on this host."""
    from blocks.postgres.engine import Login
    from deployments.local import databases
    from tasks.connections import open_connections
    from tasks.domain.roles import system
    from tasks.operations import stops

    places = Places(loading.settings())
    login = Login(databases.admin_user(places), databases.admin_password(places))
    actor = system(f"{pwd.getpwuid(os.getuid()).pw_name} on the host")
    ends_at = datetime.fromisoformat(body["ends_at"]) if body["ends_at"] else None
    async with open_connections("gateway", places, own_login=login) as at:
        target = stops.Target(body["scope"], body["name"])
        return _plain(asdict(await stops.stop(at, target, body["reason"], actor, ends_at, body["hard"])))


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
    return value


def _whom(row: Mapping[str, Any]) -> str:
    names = {"fleet": "the fleet", "bot": f"@{row['name']}"}
    return names.get(row["scope"], f"{row['scope']} {row['name']}")


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    until = output.local(row["ends_at"]) or "a person resumes"
    return {**row, "whom": _whom(row), "since": output.local(row["created_at"]), "until": until}
