"""`vivesphere sandbox accounts | tokens | suspend | restore | revoke | credits`: who lives on the sandbox's X."""

from typing import Annotated, Any

import typer

from deployments.cli import output
from deployments.cli.failures import USAGE, CommandError
from deployments.cli.output import Json
from deployments.cli.sandbox_client import Control, control

COLUMNS = (
    ("username", "username"),
    ("name", "name"),
    ("id", "id"),
    ("state", "state"),
)
TOKEN_COLUMNS = (
    ("username", "account"),
    ("account_id", "account id"),
    ("client_id", "client id"),
    ("client_secret", "client secret"),
    ("access_token", "access token"),
    ("refresh_token", "refresh token"),
    ("consumer_key", "OAuth 1.0a consumer key"),
    ("consumer_secret", "OAuth 1.0a consumer secret"),
    ("oauth1_access_token", "OAuth 1.0a access token"),
    ("oauth1_access_token_secret", "OAuth 1.0a access token secret"),
)
CALLBACK = "http://127.0.0.1:8000/callback"
Username = Annotated[str, typer.Argument(help="Username of an account of the sandbox.")]
AppName = Annotated[str, typer.Option(help="Name of the developer app; made when it does not exist.")]


def register(sandbox: typer.Typer) -> None:
    """Add the commands to the group."""
    for command in (accounts, tokens, suspend, restore, revoke, credit, new_secret):
        sandbox.command("credits" if command is credit else None)(command)


def accounts(context: typer.Context, as_json: Json = False) -> None:
    """List the accounts of the sandbox."""
    with control(context.obj) as sandbox:
        found = sandbox.get("/accounts")
    if as_json:
        output.as_json(found)
        return
    rows = [
        {**each, "state": "suspended" if each["suspended"] else "protected" if each["protected"] else ""}
        for each in found
    ]
    output.table(rows, COLUMNS, "there are no accounts: `vivesphere sandbox tokens NAME` makes one")


def tokens(
    context: typer.Context,
    username: Username,
    app: AppName = "rehearsal",
    redirect_uri: Annotated[str, typer.Option(help="Callback address of an app that is made.")] = CALLBACK,
    as_json: Json = False,
) -> None:
    """Make what a client needs: an app, an account, and tokens of OAuth 2 and OAuth 1.0a; they are good here alone."""
    with control(context.obj) as sandbox:
        made = sandbox.post("/apps", {"name": app, "redirect_uris": [redirect_uri]})
        sandbox.post("/accounts", [{"username": username}])
        whose = {"client_id": made["client_id"], "accounts": [username]}
        (oauth2,) = sandbox.post("/tokens", whose)
        (oauth1,) = sandbox.post("/oauth1-tokens", whose)
    older = {f"oauth1_{name}": oauth1.pop(name) for name in ("access_token", "access_token_secret")}
    facts = {**made, **oauth1, **older, **oauth2}
    if as_json:
        output.as_json(facts)
        return
    output.facts(facts, TOKEN_COLUMNS)


def suspend(context: typer.Context, username: Username) -> None:
    """Suspend an account: it may do nothing, and nobody sees its posts."""
    with control(context.obj) as sandbox:
        _change(sandbox, username, suspended=True)
    output.say(f"@{username} is suspended; `vivesphere sandbox restore {username}` undoes it")


def restore(context: typer.Context, username: Username) -> None:
    """End the suspension of an account."""
    with control(context.obj) as sandbox:
        _change(sandbox, username, suspended=False)
    output.say(f"@{username} is back")


def revoke(context: typer.Context, username: Username) -> None:
    """End every token of an account, as if its owner had taken all consents back."""
    with control(context.obj) as sandbox:
        ended = sandbox.post("/revocations", {"account": username})
    output.say(f"@{username}: {ended['families']} consents ended")


def credit(
    context: typer.Context,
    usd: Annotated[str, typer.Argument(help="US dollars, or none for as much as it likes.")],
    account: Annotated[str | None, typer.Option(help="Of this account.")] = None,
    app: Annotated[str | None, typer.Option(help="Of the app of this name.")] = None,
) -> None:
    """Set what an app or an account may still spend; at zero X answers 402."""
    if (account is None) == (app is None):
        raise CommandError("say either --account or --app", USAGE)
    try:
        amount = None if usd == "none" else float(usd)
    except ValueError:
        raise CommandError(f"{usd} is no sum: write dollars such as 2.50, or none", USAGE) from None
    with control(context.obj) as sandbox:
        owner: dict[str, Any] = {"account": account} if app is None else {"client_id": _client_id(sandbox, app)}
        sandbox.post("/credits", {"usd": amount, **owner})
    output.say(f"{account or app} may spend {'as much as it likes' if amount is None else f'{amount:g} USD'}")


def new_secret(
    context: typer.Context,
    app: Annotated[str, typer.Argument(help="Name of a developer app, such as rehearsal.")],
    old_works: Annotated[bool, typer.Option("--old-works", help="Let the old secret and its tokens live on.")] = False,
) -> None:
    """Make a new client secret, as a person would in X's portal; the old one and every token of the app end."""
    with control(context.obj) as sandbox:
        made = sandbox.post("/secrets", {"app": app, "old_works": old_works})
    output.say(
        f"{app}: the old secret {'still works' if old_works else 'is dead'}, {made['families']} consents ended; "
        "the new one follows, and is good here alone",
        problem=True,
    )
    output.text(made["client_secret"])


def _change(sandbox: Control, username: str, **profile: bool) -> None:
    if username.lower() not in {each["username"].lower() for each in sandbox.get("/accounts")}:
        raise CommandError(f"there is no account {username}: `vivesphere sandbox accounts` lists them")
    sandbox.post("/accounts", [{"username": username, **profile}])


def _client_id(sandbox: Control, name: str) -> str:
    apps = {app["name"]: str(app["client_id"]) for app in sandbox.get("/spend")["apps"]}
    if name not in apps:
        raise CommandError(f"there is no app {name}; there are: {', '.join(apps) or 'none'}")
    return apps[name]
