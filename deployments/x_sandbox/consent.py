"""The page on which a person lets an app act for an account of this X."""

import secrets
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.control_bodies import NewAccount
from deployments.x_sandbox.oauth import SCOPES
from deployments.x_sandbox.pages import page
from deployments.x_sandbox.state import Sandbox
from deployments.x_sandbox.tokens import sha256

PATH = "/i/oauth2/authorize"
CODE_BYTES = 48
PROFILE = ("username", "name", "description")
METHODS = {"S256": "S256", "s256": "S256", "plain": "plain"}
"""twitter-api-v2 writes a small s, and X takes it."""
ASKED = ("response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method")


def consent_routes(sandbox: Sandbox) -> list[Route]:
    """The page and what its form posts to."""

    async def show(request: Request) -> Response:
        asked = _asked(dict(request.query_params))
        wrong = _wrong(sandbox, asked)
        return _sorry(wrong) if wrong else _form(sandbox, asked)

    async def decide(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
        given = {**request.query_params, **form}
        asked = _asked(given)
        if wrong := _wrong(sandbox, asked):
            return _sorry(wrong)
        if given.get("decision") != "allow":
            sandbox.record("consent", {"at": iso(sandbox.clock.now()), "decision": "deny", **_who(asked)})
            return _back(asked, {"error": "access_denied"})
        try:
            account = NewAccount.model_validate({key: given[key] for key in PROFILE if given.get(key)})
        except ValidationError:
            return _sorry("A username has 1 to 15 letters, digits or underscores; a bio has at most 160 characters.")
        return _back(asked, {"code": _grant(sandbox, asked, account)})

    return [Route(PATH, show), Route(PATH, decide, methods=["POST"])]


def _grant(sandbox: Sandbox, asked: dict[str, str], wanted: NewAccount) -> str:
    account = sandbox.named_account(wanted.username, name=wanted.name, description=wanted.description)
    code, now = secrets.token_urlsafe(CODE_BYTES), sandbox.clock.now()
    sandbox.record(
        "consent",
        {
            "at": iso(now),
            "decision": "allow",
            "account_id": account.id,
            "username": account.username,
            "code_sha256": sha256(code),
            "redirect_uri": asked["redirect_uri"],
            "scopes": asked["scope"].split(),
            "code_challenge": asked["code_challenge"],
            "code_challenge_method": METHODS[asked.get("code_challenge_method", "plain")],
            "expires_at": iso(now + sandbox.settings.code_seconds),
            **_who(asked),
        },
    )
    return code


def _who(asked: dict[str, str]) -> dict[str, str]:
    return {"client_id": asked["client_id"]}


def _asked(given: dict[str, str]) -> dict[str, str]:
    return {name: given[name] for name in ASKED if name in given}


def _wrong(sandbox: Sandbox, asked: dict[str, str]) -> str | None:
    """What is wrong with a request for consent; X shows it here, for an address it does not know gets no redirect."""
    app = sandbox.apps.by_client_id.get(asked.get("client_id", ""))
    scopes = set(asked.get("scope", "").split())
    if app is None:
        return "No app has this client_id."
    if asked.get("redirect_uri") not in app.redirect_uris:
        return f"The redirect_uri is not one of those registered for the app {app.name}."
    if asked.get("response_type") != "code":
        return "response_type must be code."
    if not asked.get("state"):
        return "state is missing."
    if not asked.get("code_challenge") or asked.get("code_challenge_method", "plain") not in METHODS:
        return "A code_challenge with the method S256 or plain is needed."
    if not scopes or scopes - SCOPES:
        return f"Unknown scope: {', '.join(sorted(scopes - SCOPES)) or 'none was asked for'}."
    return None


def _back(asked: dict[str, str], answer: dict[str, str]) -> Response:
    address = urlsplit(asked["redirect_uri"])
    query = urlencode([*parse_qsl(address.query), ("state", asked["state"]), *answer.items()])
    return RedirectResponse(urlunsplit(address._replace(query=query)), status_code=302)


def _sorry(what: str) -> HTMLResponse:
    return page("Something went wrong", f"<p>{escape(what)}</p>", status=400)


def _form(sandbox: Sandbox, asked: dict[str, str]) -> HTMLResponse:
    app = sandbox.apps.by_client_id[asked["client_id"]]
    hidden = "".join(f'<input type="hidden" name="{name}" value="{escape(asked[name])}">' for name in asked)
    scopes = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in asked["scope"].split())
    known = "".join(f'<option value="{escape(each.username)}">' for each in sandbox.accounts.by_id.values())
    return page(
        f"{app.name} wants access to an account",
        f"""<p>This is the X sandbox, not X. What you allow here is the rehearsal of what the owner of a real account
        allows on x.com: type the account that you stand in for. One that does not exist yet is made on the spot.</p>
        <form class="card" method="post" action="{PATH}">{hidden}
        <p>The app <strong>{escape(app.name)}</strong> asks for:</p><ul>{scopes}</ul>
        <label>Username
        <input name="username" list="accounts" required pattern="[A-Za-z0-9_]{{1,15}}" autofocus></label>
        <datalist id="accounts">{known}</datalist>
        <label>Name, for a new account or to change it <input name="name" maxlength="50"></label>
        <label>Bio, for a new account or to change it <input name="description" maxlength="160"></label>
        <p><button name="decision" value="allow">Allow access</button>
        <button name="decision" value="deny" class="quiet" formnovalidate>Deny</button></p></form>""",
    )
