"""`vivesphere bots`: bring in from files, look, connect."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from config import loading
from config.places import Places
from deployments.cli import bot_files, bot_tokens, output
from deployments.cli.client import Api, api, wait_for_run
from deployments.cli.failures import FAILED, PERSON_NEEDED, USAGE, CommandError
from deployments.cli.output import Json
from tasks.domain.new_bots import NewBot

LOOK_SECONDS = 2.0
CONNECT = "onboard-bots/on-demand"
COLUMNS = (
    ("handle", "bot"),
    ("state", "state"),
    ("persona", "persona"),
    ("time_zone", "time zone"),
    ("labels", "labels"),
    ("operator_handle", "operator"),
)
FACTS = (
    *COLUMNS,
    ("display_name", "name"),
    ("description", "description"),
    ("posts_per_day_max", "posts a day, most"),
    ("x_user_id", "id on X"),
    ("label_confirmed_by", "automation label confirmed by"),
    ("label_confirmed_at", "automation label confirmed at"),
    ("bio_names_operator", "profile names operator"),
    ("bio_checked_at", "profile read at"),
    ("revision", "revision"),
)
ADOPTED_AT_ONCE = 50
SIGNS = {"new": "+", "changed": "~", "unchanged": "=", "refused": "!"}


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    app = typer.Typer(no_args_is_help=True, help="Bring bots in from files, look at them, connect their accounts.")
    app.command("import")(bring_in)
    app.command("list")(list_bots)
    app.command()(show)
    app.command()(adopt)
    app.command()(login)
    app.command()(reconnect)
    app.command()(forget)
    program.add_typer(app, name="bots")


def list_bots(
    state: Annotated[str | None, typer.Option(help="Only bots in this state, such as needs_login.")] = None,
    label: Annotated[str | None, typer.Option(help="Only bots with this label.")] = None,
    as_json: Json = False,
) -> None:
    """List bots."""
    with api() as gateway:
        found = gateway.get("/bots", state=state, label=label)
    if as_json:
        output.as_json(found)
        return
    output.table(found, COLUMNS, "there are no such bots: bring some in with `vivesphere bots import`")


def show(handle: str, as_json: Json = False) -> None:
    """Show one bot."""
    with api() as gateway:
        found = gateway.get(f"/bots/{_bare(handle)}")
    if as_json:
        output.as_json(found)
    else:
        output.facts(found, FACTS)


def forget(
    handle: str,
    reason: Annotated[str, typer.Option(help="Why; it is audited.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Make a bot's encrypted data unreadable for good, in every copy: the key it needs is destroyed."""
    asked = f"No copy of the data of @{_bare(handle)} will be readable any more, and nothing brings it back. Go on?"
    if not yes and not typer.confirm(asked):
        raise typer.Exit(FAILED)
    with api() as gateway:
        found = gateway.post(f"/bots/{_bare(handle)}/forget", {"reason": reason})
    if as_json:
        output.as_json(found)
        return
    output.say(
        f"@{_bare(handle)}: {found['records']} records unreadable since {output.local(found['forgotten_at'])}, by "
        f"{found['forgotten_by']}; SHA-256 of their ciphertexts {found['ciphertext_sha256']}"
    )


def login(handle: str, as_json: Json = False) -> None:
    """Print the link that the account's owner opens to grant access; it is good for one use."""
    with api() as gateway:
        link = gateway.post(f"/bots/{_bare(handle)}/login")
    if as_json:
        output.as_json(link)
        return
    output.say(f"sign in to X as @{link['handle']} and open, until {output.local(link['expires_at'])}:", problem=True)
    output.say(link["url"])


def reconnect(
    handles: Annotated[list[str] | None, typer.Argument(help="Bots such as @city_weather.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every bot that needs a login.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Print the links and end.")] = False,
    as_json: Json = False,
) -> None:
    """Print a link for the owner of each account, who needs no login here, and wait until all are connected.

    A link shows a page of ours that says what will happen and leads on to X. It is good for one use and for its own
    account alone; a new one voids the one before. With --json nothing is waited for. Exit 4 while owners are needed.
    """
    if bool(handles) == everything:
        raise CommandError("name the bots, or say --all", USAGE)
    with api() as gateway:
        wanted = handles or [bot["handle"] for bot in gateway.get("/bots", state="needs_login")]
        links = [_connect_link(gateway, _bare(handle)) for handle in wanted]
        if as_json:
            output.as_json(links)
            raise typer.Exit(PERSON_NEEDED if links else 0)
        if not links:
            output.say("no bot needs a login")
            return
        for link in links:
            output.say(_link_line(link), problem="problem" in link)
        open_links = {link["handle"] for link in links if "url" in link}
        left = open_links if no_wait else _wait_for_owners(gateway, open_links)
    if left or len(open_links) < len(links):
        raise typer.Exit(PERSON_NEEDED)


def _connect_link(gateway: Api, handle: str) -> dict[str, Any]:
    """The link of one bot; what hinders one bot stops no other."""
    try:
        return dict(gateway.post(f"/bots/{handle}/connect-link"))
    except CommandError as error:
        return {"handle": handle, "problem": error.text}


def _link_line(link: dict[str, Any]) -> str:
    if "problem" in link:
        return f"@{link['handle']}: {link['problem']}"
    return f"@{link['handle']}  until {output.local(link['expires_at'])}  {link['url']}"


# What a bot is until its owner has connected its account.
SILENT = ("needs_login", "suspended")


def _wait_for_owners(gateway: Api, handles: set[str]) -> set[str]:
    """Say of each bot when it is connected; those that are not once a person ends it by Ctrl+C."""
    left = set(handles)
    output.say(f"waiting for {len(left)} owners; Ctrl+C ends this, and the links stay good", problem=True)
    try:
        while left:
            waiting = {bot["handle"] for state in SILENT for bot in gateway.get("/bots", state=state)}
            for handle in sorted(left - waiting):
                left.discard(handle)
                output.say(f"@{handle} is connected, {len(left)} to go")
            time.sleep(LOOK_SECONDS if left else 0)
    except KeyboardInterrupt:
        output.say(f"{len(left)} are not connected yet: {', '.join(sorted(left))}", problem=True)
    return left


def bring_in(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of bot files, or one file; left out: the settings'.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    no_connect: Annotated[bool, typer.Option("--no-connect", help="Do not connect accounts.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the accounts are connected.")] = False,
    as_json: Json = False,
) -> None:
    """Make the database say what the bot files say, then connect the accounts; doing it twice changes nothing."""
    wanted = [bot.model_dump(mode="json") for bot in bot_files.read(folder or Places(loading.settings()).bots_folder)]
    result: dict[str, Any] = {}
    with api() as gateway:
        result["changes"] = gateway.post("/bots/import", wanted, dry_run=True)
        if not as_json:
            _show(result["changes"])
        if not dry_run:
            if any(change["change"] in ("new", "changed") for change in result["changes"]):
                _confirm(yes)
                result["changes"] = gateway.post("/bots/import", wanted)
            if not no_connect:
                result |= _connect(gateway, result["changes"], wait, quiet=as_json)
    if as_json:
        output.as_json(result)
    if any(change["change"] == "refused" for change in result["changes"]):
        raise typer.Exit(FAILED)
    if any(bot["state"] == "needs_login" for bot in result.get("bots", [])):
        raise typer.Exit(PERSON_NEEDED)


def adopt(
    attest: Annotated[str, typer.Option(help="Who says that these accounts are theirs to run; it is audited.")],
    env: Annotated[
        bool, typer.Option("--env", help="Stdin is one account's .env, as programs by tweepy have it.")
    ] = False,
    bot: Annotated[str | None, typer.Option(help="With --env: the account's handle.")] = None,
    app: Annotated[str | None, typer.Option(help="With --env: the app that its tokens were granted to.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read what is given, and send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Take in accounts with the OAuth 2 or OAuth 1.0a tokens they have: a CSV on stdin, or with --env a .env.

    Each is tried on X and goes to the vault alone. A bot that is connected keeps its tokens, so twice is harmless.
    """
    if sys.stdin.isatty():
        raise CommandError("the tokens come by stdin, so that they are in no file of ours: `... adopt < FILE`", USAGE)
    if env != (bot is not None) or (app is not None and not env):
        raise CommandError("--env takes one account, named by --bot; a CSV names each in its column 'bot'", USAGE)
    text = sys.stdin.read()
    given = bot_tokens.read_env(text, bot, {"app": app} if app else {}) if bot else bot_tokens.read_csv(text)
    if dry_run:
        output.say(f"{len(given)} accounts can be read; nothing was sent")
        return
    lines, found = list(given), []
    with api() as gateway:
        for first in range(0, len(lines), ADOPTED_AT_ONCE):
            part = lines[first : first + ADOPTED_AT_ONCE]
            wanted = [_told(given[line]) for line in part]
            answers = gateway.post("/bots/adopt", {"attested": attest, "bots": wanted})
            found += [{"line": line, **answer} for line, answer in zip(part, answers, strict=True)]
            if not as_json:
                for one in found[first:]:
                    refused = one["result"] == "refused"
                    said = f"line {one['line']}: @{one['handle']} {one['result']}: {output.clean(one['said'])}"
                    output.say(said, problem=refused)
    if as_json:
        output.as_json(found)
    if any(one["result"] == "refused" for one in found):
        raise typer.Exit(FAILED)


def _told(bot: NewBot) -> dict[str, Any]:
    """As the API takes it in; here alone its secrets are in sight."""
    told = bot.model_dump(mode="json", exclude_unset=True)
    if bot.credentials is not None:
        told["credentials"] = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in bot.credentials.model_dump(exclude_unset=True).items()
        }
    return told


def _connect(gateway: Api, changes: list[dict[str, Any]], wait: bool, quiet: bool) -> dict[str, Any]:
    """Start the run that connects those of the import that wait for a sign-in; with `wait` see it through."""
    ours = {change["handle"].lower() for change in changes if change["change"] != "refused"}
    handles = [bot["handle"] for bot in gateway.get("/bots", state="needs_login") if bot["handle"].lower() in ours]
    if not handles:
        return {}
    started = gateway.post("/runs", {"deployment": CONNECT, "arguments": {"handles": handles}})
    if not quiet:
        output.say(f"connecting {len(handles)} accounts: {started['page']}")
    if not wait:
        return {"run": started}
    ended = wait_for_run(gateway, started["flow_run_id"])
    bots = [bot for bot in gateway.get("/bots") if bot["handle"] in handles]
    if not quiet:
        for bot in bots:
            way = "" if bot["state"] != "needs_login" else f": its owner opens `vivesphere bots login {bot['handle']}`"
            output.say(f"@{bot['handle']} is {bot['state']}{way}")
        if ended["state"] != "completed":
            output.say(f"the run {ended['state']}: {ended['message'] or 'see its page'}", problem=True)
    return {"run": ended, "bots": bots}


def _show(changes: list[dict[str, Any]]) -> None:
    for change in changes:
        output.say(f"{SIGNS[change['change']]} @{change['handle']} {change['change']}")
        if change["reason"]:
            output.say(f"    {change['reason']}", problem=True)
        if change["change"] == "changed":
            for name, (was, will) in change["fields"].items():
                output.say(f"    {name}: {output.clean(was) or '-'} -> {output.clean(will) or '-'}")


def _confirm(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("nobody is there to be asked: say --yes to import, or --dry-run to look", USAGE)
    typer.confirm("Import these changes?", abort=True)


def _bare(handle: str) -> str:
    bare = handle.removeprefix("@")
    if not bare.replace("_", "").isalnum():
        raise CommandError(f"'{output.clean(handle)}' is no handle: letters, digits and underscores", USAGE)
    return bare
