"""The control plane under /sandbox/: who lives on this X, how it behaves, how it breaks, and what it saw."""

import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.x_sandbox.accounts import Account, XApp
from deployments.x_sandbox.changes import end_tokens, renew_secret, set_clock
from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.control_bodies import (
    BATCH_MAX,
    NewAccount,
    NewApp,
    NewCredits,
    NewOAuth1Tokens,
    NewRevocation,
    NewSecret,
    NewTime,
    NewTokens,
    Reset,
)
from deployments.x_sandbox.faults import Rule
from deployments.x_sandbox.oauth import hand_out, new_family
from deployments.x_sandbox.oauth1 import hand_out_oauth1
from deployments.x_sandbox.spending import spending
from deployments.x_sandbox.state import Sandbox

LEDGER_PAGE_MOST = 10_000

Body = TypeVar("Body")


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
        ("POST", "/sandbox/secrets"): _new_secret,
        ("POST", "/sandbox/accounts"): _add_accounts,
        ("GET", "/sandbox/accounts"): _accounts,
        ("POST", "/sandbox/tokens"): _mint,
        ("POST", "/sandbox/oauth1-tokens"): _mint_oauth1,
        ("POST", "/sandbox/revocations"): _revoke,
        ("POST", "/sandbox/faults"): _add_fault,
        ("GET", "/sandbox/faults"): _faults,
        ("DELETE", "/sandbox/faults"): _heal,
        ("DELETE", "/sandbox/faults/{id:int}"): _heal,
        ("POST", "/sandbox/settings"): _change_settings,
        ("GET", "/sandbox/settings"): _settings,
        ("GET", "/sandbox/clock"): _clock,
        ("POST", "/sandbox/clock"): _set_clock,
        ("DELETE", "/sandbox/clock"): _wall_clock,
        ("GET", "/sandbox/spend"): _spend,
        ("POST", "/sandbox/credits"): _give_credits,
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
    kept = {"generation": before.generation, "old_secret_works": before.old_secret_works} if before else {}
    sandbox.record("app", {"client_id": client_id, **wanted.model_dump(), **kept})
    secret = sandbox.apps.secret(client_id) if wanted.confidential else None
    return {"client_id": client_id, "client_secret": secret, **wanted.model_dump()}


async def _new_secret(sandbox: Sandbox, request: Request) -> Any:
    wanted = await _read(request, NewSecret)
    app = sandbox.apps.named(wanted.app)
    if app is None or not app.confidential:
        raise Refused(404, f"there is no app {wanted.app} with a secret; POST /sandbox/apps makes one")
    return renew_secret(sandbox, app, wanted.old_works)


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


async def _revoke(sandbox: Sandbox, request: Request) -> Any:
    wanted = await _read(request, NewRevocation)
    return {"account": wanted.account, "families": end_tokens(sandbox, _account(sandbox, wanted.account))}


def _account(sandbox: Sandbox, username: str) -> Account:
    account = sandbox.accounts.find(username)
    if account is None:
        raise Refused(404, f"there is no account {username}; POST /sandbox/accounts makes them")
    return account


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


async def _clock(sandbox: Sandbox, _: Request) -> Any:
    wall = time.time()
    now = sandbox.clock.at(wall)
    return {"now": iso(now), "wall": iso(wall), "ahead_seconds": round(now - wall, 6), "speed": sandbox.clock.speed}


async def _set_clock(sandbox: Sandbox, request: Request) -> Any:
    wanted = await _read(request, NewTime)
    try:
        set_clock(sandbox, wanted)
    except ValueError as error:
        raise Refused(422, str(error)) from None
    return await _clock(sandbox, request)


async def _wall_clock(sandbox: Sandbox, request: Request) -> Any:
    set_clock(sandbox, NewTime(ahead_seconds=0, speed=1))
    return await _clock(sandbox, request)


async def _spend(sandbox: Sandbox, _: Request) -> Any:
    return spending(sandbox)


async def _give_credits(sandbox: Sandbox, request: Request) -> Any:
    wanted = await _read(request, NewCredits)
    if wanted.account is None:
        owner, _ = wanted.client_id, _existing(sandbox, wanted.client_id or "", [])
    else:
        owner = _account(sandbox, wanted.account).id
    sandbox.record("credits", {"at": iso(sandbox.clock.now()), "owner": owner, "usd": wanted.usd})
    return spending(sandbox)


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
