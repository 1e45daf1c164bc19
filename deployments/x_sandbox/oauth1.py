"""OAuth 1.0a (RFC 5849) as X speaks it: HMAC-SHA1 over the request, a nonce that counts once, a clock that agrees."""

import base64
import hmac
import re
import secrets
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from deployments.x_sandbox.accounts import Account
from deployments.x_sandbox.call import Call
from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.oauth import SCOPES
from deployments.x_sandbox.state import Sandbox
from deployments.x_sandbox.tokens import sha256

FORM = "application/x-www-form-urlencoded"
CLOCK_SECONDS = 300
"""How far a client's clock may be off; a nonce is remembered for as long."""
TIMESTAMP = re.compile(r"[0-9]{1,12}")
"""Bounded, because Python refuses to read a number of thousands of digits."""
TOKEN_BYTES = 30
READ_ONLY = ("tweet.read", "users.read")
PARAMETERS = frozenset({"oauth_consumer_key", "oauth_token", "oauth_nonce", "oauth_timestamp", "oauth_signature"})


def signer(sandbox: Sandbox, call: Call) -> str | None:
    """The token that signed this request; None when anything about the signature is wrong or it was used before."""
    given = _given(call.authorization)
    app = sandbox.apps.of_consumer(given.get("oauth_consumer_key", ""))
    if not PARAMETERS <= given.keys() or given.get("oauth_signature_method") != "HMAC-SHA1" or app is None:
        return None
    access = sandbox.tokens.oauth1(given["oauth_token"])
    if access is None or access.family.client_id != app.client_id or not _fresh(sandbox, given):
        return None
    key = "&".join(
        _encoded(part) for part in (sandbox.apps.consumer_secret(app), sandbox.apps.token_secret(given["oauth_token"]))
    )
    bases = [*sandbox.settings.oauth1_base_urls, f"http://{call.host}"]
    signatures = [_signature(call, given, base, key) for base in bases]
    matches = [hmac.compare_digest(signature, given["oauth_signature"].encode()) for signature in signatures]
    # Only a good signature spends its nonce: otherwise a stranger could spend it first.
    if not any(matches) or not sandbox.nonces.spend(_nonce(given), sandbox.clock.now(), 2 * CLOCK_SECONDS):
        return None
    return given["oauth_token"]


def hand_out_oauth1(sandbox: Sandbox, account: Account, client_id: str, read_only: bool) -> dict[str, Any]:
    """An access token with its secret; it never expires, and the ledger gets its hash."""
    token = f"{account.id}-{secrets.token_urlsafe(TOKEN_BYTES)}"
    sandbox.record(
        "token",
        {
            "grant": "oauth1",
            "result": "granted",
            "at": iso(sandbox.clock.now()),
            "family": secrets.token_hex(8),
            "account_id": account.id,
            "username": account.username,
            "client_id": client_id,
            "access_sha256": sha256(token),
            "scopes": list(READ_ONLY) if read_only else sorted(SCOPES),
        },
    )
    return {"access_token": token, "access_token_secret": sandbox.apps.token_secret(token)}


def _given(authorization: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in authorization.partition(" ")[2].split(","))
    return {unquote(name): unquote(value.strip('"')) for name, _, value in pairs}


def _fresh(sandbox: Sandbox, given: dict[str, str]) -> bool:
    stamp = given["oauth_timestamp"]
    return bool(TIMESTAMP.fullmatch(stamp)) and abs(int(stamp) - sandbox.clock.now()) <= CLOCK_SECONDS


def _nonce(given: dict[str, str]) -> tuple[str, str, str]:
    return given["oauth_token"], given["oauth_timestamp"], given["oauth_nonce"]


def _signature(call: Call, given: dict[str, str], base_url: str, key: str) -> bytes:
    pairs = [(name, value) for name, value in given.items() if name not in ("oauth_signature", "realm")]
    pairs += parse_qsl(call.query.decode("latin-1"), keep_blank_values=True)
    if call.content_type.startswith(FORM):
        pairs += parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)
    parameters = "&".join(f"{name}={value}" for name, value in sorted((_encoded(n), _encoded(v)) for n, v in pairs))
    method = call.endpoint.partition(" ")[0]
    text = "&".join(_encoded(part) for part in (method, base_url + call.path, parameters))
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha1"))


def _encoded(text: str) -> str:
    return quote(text, safe="-._~")
