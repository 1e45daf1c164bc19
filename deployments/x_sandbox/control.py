"""The control plane under /sandbox/: who lives on this X, how it behaves, how it breaks, and what it saw."""

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.x_sandbox.accounts import Account, XApp
from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.faults import Rule
from deployments.x_sandbox.oauth import SCOPES, hand_out, new_family
from deployments.x_sandbox.oauth1 import hand_out_oauth1
from deployments.x_sandbox.queries import USERNAME
from deployments.x_sandbox.state import Sandbox

BATCH_MAX = 10_000
LEDGER_PAGE_MOST = 10_000
DEFAULT_SCOPES = ("tweet.read", "tweet.write", "users.read", "media.write", "offline.access")

Body = TypeVar("Body")


def _known_scopes(scopes: list[str]) -> list[str]:
    if strange := set(scopes) - SCOPES:
        raise ValueError(f"X has no scope {', '.join(sorted(strange))}")
    return scopes


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewApp(_Strict):
    """A developer app; the same name twice is the same app, with its redirect addresses brought up to date."""

    name: str = Field(min_length=1, max_length=100)
    redirect_uris: list[str] = Field(min_length=1)
    confidential: bool = True


class NewAccount(_Strict):
    """An account; the same username twice is the same account, and what is left out stays as it was."""

    username: str = Field(pattern=f"^{USERNAME.pattern}$")
    name: str | None = Field(None, max_length=50)
    description: str | None = Field(None, max_length=160)
    protected: bool | None = Field(None, description="Its posts are for itself alone.")
    suspended: bool | None = Field(None, description="It may do nothing, and nobody sees it.")


class NewTokens(_Strict):
    """Tokens without a consent page: one family for each account."""

    client_id: str
    accounts: list[str] = Field(min_length=1, max_length=BATCH_MAX)
    scopes: Annotated[list[str], AfterValidator(_known_scopes)] = list(DEFAULT_SCOPES)


class NewOAuth1Tokens(_Strict):
    """OAuth 1.0a tokens, which X hands out in its developer portal: one for each account."""

    client_id: str
    accounts: list[str] = Field(min_length=1, max_length=BATCH_MAX)
    read_only: bool = Field(False, description="The app may read alone.")


class Reset(_Strict):
    """What to forget; the ledger itself keeps everything."""

    keep_accounts: bool = Field(False, description="Forget posts, limits and faults only.")


class Refused(Exception):
    """The control plane does not do this; `status` and the sentence say why."""

    def __init__(self, status: int, detail: Any) -> None:
        self.status = status
        self.detail = detail


Handler = Callable[[Sandbox, Request], Awaitable[Any]]


def control_routes(sandbox: Sandbox, control_token: str) -> list[Route]:
    """The routes, each but health behind the control token."""
    routes: dict[tuple[str, str], Handler] = {
        ("POST", "/sandbox/apps"): _add_app,
        ("POST", "/sandbox/accounts"): _add_accounts,
        ("GET", "/sandbox/accounts"): _accounts,
        ("POST", "/sandbox/tokens"): _mint,
        ("POST", "/sandbox/oauth1-tokens"): _mint_oauth1,
        ("POST", "/sandbox/faults"): _add_fault,
        ("GET", "/sandbox/faults"): _faults,
        ("DELETE", "/sandbox/faults"): _heal,
        ("DELETE", "/sandbox/faults/{id:int}"): _heal,
        ("POST", "/sandbox/settings"): _change_settings,
        ("GET", "/sandbox/settings"): _settings,
        ("POST", "/sandbox/reset"): _reset,
        ("GET", "/sandbox/ledger"): _ledger,
    }
    guarded = [
        Route(path, _guarded(sandbox, control_token, handler), methods=[method])
        for (method, path), handler in routes.items()
    ]

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "last_seq": sandbox.ledger.last_seq, "now": iso(sandbox.clock.now())})

    return [Route("/sandbox/health", health), *guarded]


def _guarded(sandbox: Sandbox, control_token: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    expected = f"Bearer {control_token}".encode()

    async def endpoint(request: Request) -> Response:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            detail = "Send the sandbox's control token as Authorization: Bearer ..."
            return JSONResponse({"detail": detail}, 401)
        try:
            answer = await handler(sandbox, request)
        except Refused as refused:
            return JSONResponse({"detail": refused.detail}, refused.status)
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    return endpoint


async def _read(request: Request, wanted: type[Body] | TypeAdapter[Body]) -> Body:
    adapter = wanted if isinstance(wanted, TypeAdapter) else TypeAdapter(wanted)
    try:
        return adapter.validate_json(await request.body() or b"{}")
    except ValidationError as error:
        raise Refused(422, error.errors(include_url=False, include_context=False, include_input=False)) from None


async def _add_app(sandbox: Sandbox, request: Request) -> Any:
    wanted = await _read(request, NewApp)
    before = sandbox.apps.named(wanted.name)
    client_id = before.client_id if before else secrets.token_urlsafe(24)
    sandbox.record("app", {"client_id": client_id, **wanted.model_dump()})
    secret = sandbox.apps.secret(client_id) if wanted.confidential else None
    return {"client_id": client_id, "client_secret": secret, **wanted.model_dump()}


async def _add_accounts(sandbox: Sandbox, request: Request) -> Any:
    batch = TypeAdapter(Annotated[list[NewAccount], Field(max_length=BATCH_MAX)])
    return [_shown(sandbox.named_account(**each.model_dump())) for each in await _read(request, batch)]


async def _accounts(sandbox: Sandbox, _: Request) -> Any:
    return [_shown(account) for account in sandbox.accounts.by_id.values()]


async def _mint(sandbox: Sandbox, request: Request) -> Any:
    wanted = await _read(request, NewTokens)
    _, accounts = _existing(sandbox, wanted.client_id, wanted.accounts)
    return [
        {"username": account.username, "account_id": account.id}
        | hand_out(sandbox, None, "minted", new_family(account.id, wanted.client_id, wanted.scopes))
        for account in accounts
    ]


async def _mint_oauth1(sandbox: Sandbox, request: Request) -> Any:
    wanted = await _read(request, NewOAuth1Tokens)
    app, accounts = _existing(sandbox, wanted.client_id, wanted.accounts)
    consumer = {"consumer_key": sandbox.apps.consumer_key(app), "consumer_secret": sandbox.apps.consumer_secret(app)}
    return [
        {"username": account.username, "account_id": account.id, **consumer}
        | hand_out_oauth1(sandbox, account, app.client_id, wanted.read_only)
        for account in accounts
    ]


def _existing(sandbox: Sandbox, client_id: str, usernames: list[str]) -> tuple[XApp, list[Account]]:
    app = sandbox.apps.by_client_id.get(client_id)
    if app is None:
        raise Refused(404, f"there is no app with the client id {client_id}; POST /sandbox/apps makes one")
    accounts = {username: sandbox.accounts.find(username) for username in usernames}
    if unknown := [username for username, account in accounts.items() if account is None]:
        raise Refused(404, f"there is no account {', '.join(unknown[:10])}; POST /sandbox/accounts makes them")
    return app, [account for account in accounts.values() if account]


async def _add_fault(sandbox: Sandbox, request: Request) -> Any:
    rule = await _read(request, Rule)
    return sandbox.faults.add(rule).model_dump()


async def _faults(sandbox: Sandbox, _: Request) -> Any:
    return [rule.model_dump() for rule in sandbox.faults.rules.values()]


async def _heal(sandbox: Sandbox, request: Request) -> Any:
    number = request.path_params.get("id")
    if number is None:
        sandbox.faults.clear()
    elif sandbox.faults.rules.pop(number, None) is None:
        raise Refused(404, f"there is no fault {number}; its strikes may be used up")
    return await _faults(sandbox, request)


async def _change_settings(sandbox: Sandbox, request: Request) -> Any:
    change = await _read(request, dict[str, Any])
    try:
        changed = sandbox.settings.changed(change)
    except ValidationError as error:
        raise Refused(422, error.errors(include_url=False, include_context=False, include_input=False)) from None
    sandbox.record("settings", {"at": iso(sandbox.clock.now()), "settings": changed.model_dump()})
    return await _settings(sandbox, request)


async def _settings(sandbox: Sandbox, _: Request) -> Any:
    return sandbox.settings.model_dump()


async def _reset(sandbox: Sandbox, request: Request) -> Any:
    wanted = await _read(request, Reset)
    sandbox.record("reset", {"at": iso(sandbox.clock.now()), **wanted.model_dump()})
    return {"last_seq": sandbox.ledger.last_seq}


async def _ledger(sandbox: Sandbox, request: Request) -> Any:
    after = _number(request, "after", 0)
    limit = min(_number(request, "limit", LEDGER_PAGE_MOST), LEDGER_PAGE_MOST)
    kinds = frozenset(filter(None, request.query_params.get("kinds", "").split(",")))
    lines = list(sandbox.ledger.lines(after, limit, kinds))
    # The lines are JSON already; reading and writing 10,000 of them again would hold up the posts meanwhile.
    newest = json.loads(lines[-1])["seq"] if len(lines) == limit and lines else sandbox.ledger.last_seq
    body = b'{"entries":[' + b",".join(lines) + b'],"next_after":%d}' % newest
    return Response(body, media_type="application/json")


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise Refused(422, f"{name} must be a whole number, not {text!r}")
    return int(text)


def _shown(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "username": account.username,
        "name": account.name,
        "description": account.description,
        "created_at": iso(account.created_at),
        "protected": account.protected,
        "suspended": account.suspended,
    }
