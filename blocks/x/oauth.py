"""OAuth 2 with X: authorisation code with PKCE (RFC 6749, 7636), refresh, revocation (RFC 7009), app-only tokens.

A code is good for 30 s and a refresh token for one use: used twice, X kills the whole family. So an exchange or
refresh whose answer never came (NoAnswer) must not simply be repeated.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlencode

from pydantic import SecretStr, ValidationError

from blocks.x.calls import Call, Caller, Latch, Reply
from blocks.x.errors import NoAnswer
from blocks.x.refusals import from_answer
from blocks.x.signing import AppKeys, Basic
from blocks.x.wire import AppTokenAnswer, TokenAnswer


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """An app as the authorisation server knows it; without a secret it is a public client."""

    client_id: str
    client_secret: SecretStr | None = None

    def signed(self, form: Mapping[str, str | SecretStr]) -> tuple[Basic | None, dict[str, str | SecretStr]]:
        """The authorization and the form: a confidential client signs by the first, a public one by its id."""
        if self.client_secret is None:
            return None, {**form, "client_id": self.client_id}
        return Basic(self.client_id, self.client_secret), dict(form)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What X grants. `refresh_token` is None without the scope offline.access.

    `expires_at` is counted from the request's first byte, so it is never later than X's own. None in `scopes`
    means that X did not say: then they are those asked for.
    """

    access_token: SecretStr
    refresh_token: SecretStr | None
    expires_at: datetime
    scopes: frozenset[str] | None
    first_byte_at: datetime


def new_verifier() -> SecretStr:
    """A fresh PKCE code verifier; it is a secret until the code is exchanged."""
    return SecretStr(secrets.token_urlsafe(48))


def challenge_of(verifier: SecretStr) -> str:
    """The S256 challenge of a verifier."""
    digest = hashlib.sha256(verifier.get_secret_value().encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def authorize_url(
    page: str, *, client_id: str, redirect_uri: str, scopes: Iterable[str], state: str, challenge: str
) -> str:
    """Where an owner grants access; `page` is the authorisation server's own address for it."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{page}?{urlencode(query)}"


async def exchange_code(
    at: Caller,
    app: OAuthApp,
    *,
    code: SecretStr,
    verifier: SecretStr,
    redirect_uri: str,
    latch: Latch | None = None,
    deadline_seconds: float | None = None,
) -> Tokens:
    """Tokens for the code that an owner brought back; raises InvalidGrant when it is spent or older than 30 s."""
    form: dict[str, str | SecretStr] = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": redirect_uri,
    }
    return await _granted(at, app, form, latch, deadline_seconds)


async def refresh(
    at: Caller,
    app: OAuthApp,
    refresh_token: SecretStr,
    *,
    latch: Latch | None = None,
    deadline_seconds: float | None = None,
) -> Tokens:
    """New tokens for a refresh token, which is spent by it; raises InvalidGrant when it already was."""
    form: dict[str, str | SecretStr] = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return await _granted(at, app, form, latch, deadline_seconds)


async def app_bearer(at: Caller, keys: AppKeys, *, deadline_seconds: float | None = None) -> SecretStr:
    """The app-only bearer token of an app, by client credentials (RFC 6749, section 4.4).

    It does not expire, and asking again brings the same one. Source:
    https://docs.x.com/fundamentals/authentication/oauth-2-0/application-only
    """
    call = Call(
        "POST",
        at.url("/oauth2/token"),
        repeatable=True,
        authorization=Basic(keys.api_key, keys.api_key_secret),
        form={"grant_type": "client_credentials"},
    )
    reply = await _accepted(at, call, None, deadline_seconds)
    try:
        return AppTokenAnswer.model_validate_json(reply.body).access_token
    except ValidationError:
        failure = _without_tokens(reply, retryable=True)
    # Outside of `except`: the lower error quotes the body.
    raise failure


async def revoke(
    at: Caller,
    app: OAuthApp,
    token: SecretStr,
    *,
    kind: Literal["access_token", "refresh_token"],
    latch: Latch | None = None,
    deadline_seconds: float | None = None,
) -> None:
    """Make a token useless; doing it twice does no harm."""
    form: dict[str, str | SecretStr] = {"token": token, "token_type_hint": kind}
    await _asked(at, app, "/2/oauth2/revoke", form, latch, deadline_seconds, repeatable=True)


async def _granted(
    at: Caller,
    app: OAuthApp,
    form: Mapping[str, str | SecretStr],
    latch: Latch | None,
    deadline_seconds: float | None,
) -> Tokens:
    reply = await _asked(at, app, "/2/oauth2/token", form, latch, deadline_seconds, repeatable=False)
    tokens = _tokens(reply)
    if tokens is None:
        raise _without_tokens(reply, retryable=False)
    return tokens


async def _asked(
    at: Caller,
    app: OAuthApp,
    path: str,
    form: Mapping[str, str | SecretStr],
    latch: Latch | None,
    deadline_seconds: float | None,
    *,
    repeatable: bool,
) -> Reply:
    authorization, signed = app.signed(form)
    call = Call("POST", at.url(path), repeatable, authorization=authorization, form=signed)
    return await _accepted(at, call, latch, deadline_seconds)


async def _accepted(at: Caller, call: Call, latch: Latch | None, deadline_seconds: float | None) -> Reply:
    reply = await at.call(call, latch=latch, deadline_seconds=deadline_seconds)
    if 200 <= reply.status < 300:
        return reply
    raise from_answer(
        reply.status,
        reply.body,
        headers=reply.headers,
        first_byte_at=reply.first_byte_at,
        repeatable=call.repeatable,
        secrets=call.hidden(),
    )


def _without_tokens(reply: Reply, *, retryable: bool) -> NoAnswer:
    return NoAnswer(
        "X says it is done, but its answer holds no tokens",
        problem="unreadable-answer",
        status=reply.status,
        first_byte_at=reply.first_byte_at,
        retryable=retryable,
    )


def _tokens(reply: Reply) -> Tokens | None:
    try:
        told = TokenAnswer.model_validate_json(reply.body)
    except ValidationError:
        return None
    return Tokens(
        told.access_token,
        told.refresh_token,
        reply.first_byte_at + timedelta(seconds=told.expires_in),
        frozenset(told.scope.split()) if told.scope is not None else None,
        reply.first_byte_at,
    )
