"""OAuth 2 as X speaks it: authorization codes with PKCE, single-use refresh tokens, revocation."""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from typing import Any
from urllib.parse import parse_qsl, unquote

from deployments.x_sandbox.accounts import Account, XApp
from deployments.x_sandbox.answers import PROBLEMS, Answer, coded_error, oauth_error, ok
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.state import Sandbox
from deployments.x_sandbox.tokens import Code, Family, sha256

SCOPES = frozenset(
    "block.read block.write bookmark.read bookmark.write broadcast.read broadcast.write dm.read dm.write follows.read "
    "follows.write like.read like.write list.read list.write media.write mute.read mute.write offline.access "
    "space.read timeline.read tweet.moderate.write tweet.read tweet.write users.read".split()
)
TOKEN_BYTES = 48
BEARER = "bearer"
BAD_CODE = oauth_error(400, "invalid_request", "Value passed for the authorization code was invalid.")
BAD_REFRESH = PROBLEMS["invalid-refresh-token"]
NOT_VERIFIED = coded_error(403, 99, "Unable to verify your credentials", label="authenticity_token_error")
NO_GRANT = coded_error(403, 170, "Missing required parameter: grant_type", label="forbidden_missing_parameter")
BAD_CLIENT = oauth_error(401, "unauthorized_client", "Missing valid authorization header")


def token(sandbox: Sandbox, call: Call) -> Answer:
    """Exchange a code or a refresh token for new tokens."""
    form = _form(call)
    app = _client(sandbox, call, form)
    if app is None:
        return _refused(sandbox, call, str(form.get("grant_type")), BAD_CLIENT)
    if form.get("grant_type") == "authorization_code":
        return _exchange(sandbox, call, app, form)
    if form.get("grant_type") == "refresh_token":
        return _refresh(sandbox, call, app, form)
    if form.get("grant_type") == "client_credentials":
        return _app_only(sandbox, call, app)
    wrong = oauth_error(400, "unsupported_grant_type", "Value passed for the grant type was invalid.")
    return _refused(sandbox, call, str(form.get("grant_type")), wrong)


def app_token(sandbox: Sandbox, call: Call) -> Answer:
    """The one token with which an app reads for nobody, for the names that OAuth 1.0a knows the app by."""
    consumer_key, secret = _basic(call)
    app = sandbox.apps.of_consumer(consumer_key)
    if app is None or not hmac.compare_digest(sandbox.apps.consumer_secret(app).encode(), secret.encode()):
        return _refused(sandbox, call, "client_credentials", NOT_VERIFIED)
    if _form(call).get("grant_type") != "client_credentials":
        return _refused(sandbox, call, "client_credentials", NO_GRANT)
    access = sandbox.apps.bearer(app)
    if sandbox.tokens.access(access, sandbox.clock.now()) is None:
        _write_app_only(sandbox, call, app, access)
    return ok({"token_type": BEARER, "access_token": access})


def revoke(sandbox: Sandbox, call: Call) -> Answer:
    """End an access token, or with a refresh token everything that grew from its consent."""
    form = _form(call)
    app = _client(sandbox, call, form)
    if app is None:
        return _refused(sandbox, call, "revoke", BAD_CLIENT)
    digest = sha256(form.get("token", ""))
    family = sandbox.tokens.family_of(form.get("token", ""))
    if family is None or family.client_id != app.client_id:
        return _refused(sandbox, call, "revoke", BAD_REFRESH)
    if digest in sandbox.tokens.refreshes:
        _write(sandbox, call, "revoke", "family_killed", family)
    else:
        _write(sandbox, call, "revoke", "access_revoked", family, access_sha256=digest)
    return ok({"revoked": True})


def hand_out(sandbox: Sandbox, call: Call | None, grant: str, family: Family, **used: str) -> dict[str, Any]:
    """Make an access token and, with offline.access, a refresh token; the ledger gets their hashes."""
    access, refresh = secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES)
    life = sandbox.settings.access_token_seconds
    fields: dict[str, Any] = {
        "access_sha256": sha256(access),
        "expires_at": iso(sandbox.clock.now() + life),
        "scopes": family.scopes,
        **used,
    }
    answer = {"token_type": BEARER, "expires_in": int(life), "access_token": access, "scope": " ".join(family.scopes)}
    if "offline.access" in family.scopes:
        fields["refresh_sha256"] = sha256(refresh)
        answer["refresh_token"] = refresh
    _write(sandbox, call, grant, "granted", family, **fields)
    return answer


def kill(sandbox: Sandbox, call: Call | None, grant: str, family: Family) -> None:
    """End all tokens of a family without anybody having asked for it over OAuth."""
    _write(sandbox, call, grant, "family_killed", family)


def new_family(account_id: str, client_id: str, scopes: list[str]) -> Family:
    """A consent's family before its first tokens; the ledger's entry on them brings it into being."""
    return Family(secrets.token_hex(8), account_id, client_id, scopes)


def _app_only(sandbox: Sandbox, call: Call, app: XApp) -> Answer:
    """A token with which an app reads for nobody; X lets it live until it is revoked."""
    if not app.confidential:
        return _refused(sandbox, call, "client_credentials", BAD_CLIENT)
    access = secrets.token_urlsafe(TOKEN_BYTES)
    _write_app_only(sandbox, call, app, access)
    return ok({"token_type": BEARER, "access_token": access})


def _write_app_only(sandbox: Sandbox, call: Call, app: XApp, access: str) -> None:
    family = Family(secrets.token_hex(8), None, app.client_id, [])
    _write(sandbox, call, "client_credentials", "granted", family, access_sha256=sha256(access), scopes=[])


def _exchange(sandbox: Sandbox, call: Call, app: XApp, form: dict[str, str]) -> Answer:
    digest = sha256(form.get("code", ""))
    code = sandbox.tokens.codes.get(digest)
    if (
        code is None
        or code.used
        or code.client_id != app.client_id
        or code.redirect_uri != form.get("redirect_uri")
        or code.expires_at <= sandbox.clock.now()
    ):
        return _refused(sandbox, call, "authorization_code", BAD_CODE)
    if not _verifies(code, form.get("code_verifier", "")):
        # A guess at the verifier costs the code, or it could be guessed again.
        wrong = oauth_error(
            400, "invalid_request", "Value passed for the code verifier did not match the code challenge."
        )
        return _refused(sandbox, call, "authorization_code", wrong, used_code_sha256=digest)
    call.account = sandbox.accounts.by_id.get(code.account_id)
    family = new_family(code.account_id, app.client_id, code.scopes)
    return ok(hand_out(sandbox, call, "authorization_code", family, used_code_sha256=digest))


def _refresh(sandbox: Sandbox, call: Call, app: XApp, form: dict[str, str]) -> Answer:
    digest = sha256(form.get("refresh_token", ""))
    refresh = sandbox.tokens.refreshes.get(digest)
    if refresh is None or refresh.family.client_id != app.client_id or not refresh.family.alive:
        return _refused(sandbox, call, "refresh_token", BAD_REFRESH)
    if refresh.used:
        _write(sandbox, call, "refresh_token", "family_killed", refresh.family, problem="refresh token used twice")
        return BAD_REFRESH
    return ok(hand_out(sandbox, call, "refresh_token", refresh.family, used_refresh_sha256=digest))


def _verifies(code: Code, verifier: str) -> bool:
    if code.method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        verifier = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(verifier.encode(), code.challenge.encode())


def _client(sandbox: Sandbox, call: Call, form: dict[str, str]) -> XApp | None:
    """The app that calls: proven by Basic authentication, or named in the form if it is a public one."""
    if call.authorization[:6].lower() == "basic ":
        client_id, secret = _basic(call)
        return sandbox.apps.by_client_id[client_id] if sandbox.apps.proves(client_id, secret) else None
    app = sandbox.apps.by_client_id.get(form.get("client_id", ""))
    return app if app and not app.confidential else None


def _basic(call: Call) -> tuple[str, str]:
    """Name and secret of Basic authentication; empty where there is none."""
    scheme, _, value = call.authorization.partition(" ")
    try:
        name, _, secret = base64.b64decode(value if scheme.lower() == "basic" else "").decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote(name), unquote(secret)


def _form(call: Call) -> dict[str, str]:
    """The parameters of a call: X takes JSON beside the form of RFC 6749, and twitter-api-v2 sends it."""
    if not call.content_type.startswith("application/json"):
        return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        given = json.loads(call.body)
    except ValueError:
        return {}
    return {name: value for name, value in given.items() if isinstance(value, str)} if isinstance(given, dict) else {}


def _whose(sandbox: Sandbox, call: Call) -> Account | None:
    form = _form(call)
    family = sandbox.tokens.family_of(form.get("refresh_token") or form.get("token") or "")
    if family:
        return sandbox.accounts.by_id.get(family.account_id or "")
    code = sandbox.tokens.codes.get(sha256(form.get("code", "")))
    return sandbox.accounts.by_id.get(code.account_id) if code else None


def _refused(sandbox: Sandbox, call: Call, grant: str, answer: Answer, **used: str) -> Answer:
    _write(sandbox, call, grant, "refused", None, problem=answer.problem, **used)
    return answer


def _write(sandbox: Sandbox, call: Call | None, grant: str, result: str, family: Family | None, **fields: Any) -> None:
    entry: dict[str, Any] = {"grant": grant, "result": result, "at": iso(sandbox.clock.now())}
    if family:
        account = sandbox.accounts.by_id.get(family.account_id or "")
        entry |= {"family": family.id, "account_id": family.account_id, "client_id": family.client_id}
        entry["username"] = account.username if account else None
    sandbox.record("token", {**(call.trace() if call else {}), **entry, **fields})


ENDPOINTS = [
    Endpoint("POST /oauth2/token", app_token),
    Endpoint("POST /2/oauth2/token", token, whose=_whose),
    Endpoint("POST /2/oauth2/revoke", revoke, whose=_whose),
]
