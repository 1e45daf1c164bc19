"""OAuth 2 with X: what is sent, what is granted, and what is known when it fails."""

import base64
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from blocks.x import oauth
from blocks.x.errors import InvalidGrant, NoAnswer, NotSent, Refused, Throttled, Unauthorized, XError
from blocks.x.oauth import OAuthApp, Tokens
from blocks.x.signing import AppKeys
from tests.unit.test_x_client import head_and_body
from tests.unit.test_x_faults import everything_said_by
from tests.unit.x_peer import Conversation, Peer, Script, a_client, always, answer, once

PUBLIC = OAuthApp("the-client")
CONFIDENTIAL = OAuthApp("the-client", SecretStr("the-planted-s3cret"))
KEYS = AppKeys("the-key", SecretStr("the-planted-s3cret"))
SPENT = SecretStr("planted refresh/t0ken")
GRANTED = {
    "token_type": "bearer",
    "expires_in": 7200,
    "access_token": "new-access",
    "refresh_token": "new-refresh",
    "scope": "tweet.read tweet.write offline.access",
}


def form_of(request: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(head_and_body(request)[2].decode()).items()}


async def failure_of_refresh(script: Script, *, app: OAuthApp = CONFIDENTIAL) -> XError:
    async with Peer(script) as peer, a_client(peer.url, deadline_seconds=0.5) as x:
        with pytest.raises(XError) as caught:
            await oauth.refresh(x.caller, app, SPENT)
    for secret in ("planted", base64.b64encode(b"the-client:the-planted-s3cret").decode()):
        assert secret not in everything_said_by(caught.value)
    return caught.value


def test_the_authorisation_page_gets_the_challenge_and_never_the_verifier() -> None:
    verifier = oauth.new_verifier()
    url = oauth.authorize_url(
        "https://x.test/i/oauth2/authorize",
        client_id="the-client",
        redirect_uri="http://127.0.0.1:8000/callback?a=b",
        scopes=["tweet.write", "offline.access"],
        state="st4te",
        challenge=oauth.challenge_of(verifier),
    )
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert query == {
        "response_type": "code",
        "client_id": "the-client",
        "redirect_uri": "http://127.0.0.1:8000/callback?a=b",
        "scope": "tweet.write offline.access",
        "state": "st4te",
        "code_challenge": oauth.challenge_of(verifier),
        "code_challenge_method": "S256",
    }
    assert verifier.get_secret_value() not in url
    assert 43 <= len(verifier.get_secret_value()) <= 128


def test_the_challenge_is_that_of_the_standard() -> None:
    # RFC 7636, appendix B.
    verifier = SecretStr("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert oauth.challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # pragma: allowlist secret


async def test_a_public_client_names_itself_in_the_form() -> None:
    async with Peer(always(answer(200, GRANTED))) as peer, a_client(peer.url) as x:
        tokens = await oauth.exchange_code(
            x.caller, PUBLIC, code=SecretStr("c0de"), verifier=SecretStr("v" * 43), redirect_uri="http://a/b"
        )
    first, headers, _ = head_and_body(peer.requests[0])
    assert first == "POST /2/oauth2/token HTTP/1.1"
    assert "authorization" not in headers
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert form_of(peer.requests[0]) == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "code_verifier": "v" * 43,
        "redirect_uri": "http://a/b",
        "client_id": "the-client",
    }
    assert tokens.refresh_token is not None and tokens.refresh_token.get_secret_value() == "new-refresh"
    assert tokens.scopes == {"tweet.read", "tweet.write", "offline.access"}


async def test_a_confidential_client_signs_with_basic() -> None:
    async with Peer(always(answer(200, GRANTED))) as peer, a_client(peer.url) as x:
        tokens = await oauth.refresh(x.caller, CONFIDENTIAL, SPENT)
    basic = base64.b64encode(b"the-client:the-planted-s3cret").decode()
    assert head_and_body(peer.requests[0])[1]["authorization"] == f"Basic {basic}"
    assert form_of(peer.requests[0]) == {"grant_type": "refresh_token", "refresh_token": "planted refresh/t0ken"}
    assert tokens.expires_at - tokens.first_byte_at == timedelta(seconds=7200)


def test_neither_tokens_nor_apps_show_what_they_hold() -> None:
    assert "planted" not in repr(CONFIDENTIAL) + str(CONFIDENTIAL)
    assert {field for field, kind in Tokens.__annotations__.items() if "SecretStr" in str(kind)} == {
        "access_token",
        "refresh_token",
    }


async def test_without_a_refresh_token_there_is_none() -> None:
    granted = {"token_type": "bearer", "expires_in": 7200, "access_token": "a"}
    async with Peer(always(answer(200, granted))) as peer, a_client(peer.url) as x:
        tokens = await oauth.refresh(x.caller, PUBLIC, SPENT)
    assert tokens.refresh_token is None
    assert tokens.scopes is None


@pytest.mark.parametrize(
    "told",
    [
        {"error": "invalid_grant", "error_description": "spent: planted refresh/t0ken"},
        {"error": "invalid_request", "error_description": "Value passed for the token was invalid."},
        {"error": "invalid_request", "error_description": "Value passed for the authorization code was invalid."},
    ],
)
async def test_a_spent_grant_is_told_apart(told: dict[str, str]) -> None:
    error = await failure_of_refresh(always(answer(400, told)))
    assert type(error) is InvalidGrant
    assert error.problem == told["error"]
    assert error.outcome_known and not error.retryable


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (400, {"error": "invalid_request", "error_description": "Missing required parameter [code]."}, Refused),
        (400, {"error": "unsupported_grant_type"}, Refused),
        (
            401,
            {"error": "unauthorized_client", "error_description": "Missing valid authorization header"},
            Unauthorized,
        ),
        (401, {"error": "invalid_client"}, Unauthorized),
        (429, {}, Throttled),
    ],
)
async def test_any_other_refusal_does_not_condemn_the_grant(
    status: int, told: dict[str, str], kind: type[XError]
) -> None:
    assert type(await failure_of_refresh(always(answer(status, told)))) is kind


@pytest.mark.parametrize(
    "script",
    [
        once(b""),
        once(answer(200, GRANTED)[:-5]),
        always(answer(200, b"{}")),
        always(answer(200, {**GRANTED, "expires_in": "planted"})),
        always(answer(200, {"access_token": "", "token_type": "bearer", "expires_in": 7200})),
        always(answer(200, {**GRANTED, "access_token": ["planted"]})),
        always(answer(200, {**GRANTED, "expires_in": 10**18})),
        always(answer(503, b"")),
        always(answer(403, b"<html>")),
        Conversation.drain_to_end,
    ],
)
async def test_a_refresh_without_an_answer_is_of_unknown_fate(script: Script) -> None:
    error = await failure_of_refresh(script)
    assert type(error) is NoAnswer
    assert not error.retryable and not error.outcome_known


async def test_a_shut_latch_keeps_the_refresh_token_unspent() -> None:
    def shut() -> None:
        raise TimeoutError("past send_by")

    async with Peer(always(answer(200, GRANTED))) as peer, a_client(peer.url) as x:
        with pytest.raises(NotSent) as caught:
            await oauth.refresh(x.caller, PUBLIC, SPENT, latch=shut)
        assert peer.requests == []
    assert caught.value.detail == "past send_by"


async def test_an_app_gets_its_bearer_token_by_its_keys() -> None:
    told = {"token_type": "bearer", "access_token": "AAAA%2Fplanted", "data": []}
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        token = await oauth.app_bearer(x.caller, KEYS)
        await x.users(token, ["7"])
    first, headers, body = head_and_body(peer.requests[0])
    assert first == "POST /oauth2/token HTTP/1.1"
    assert headers["authorization"] == f"Basic {base64.b64encode(b'the-key:the-planted-s3cret').decode()}"
    assert body == b"grant_type=client_credentials"
    assert head_and_body(peer.requests[1])[1]["authorization"] == "Bearer AAAA%2Fplanted"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (answer(200, {"access_token": "planted", "token_type": "mac"}), NoAnswer),
        (answer(200, {"access_token": "", "token_type": "bearer"}), NoAnswer),
        (answer(503, b""), NoAnswer),
        (answer(401, {"detail": "the-planted-s3cret"}), Unauthorized),
        (answer(403, {"errors": [{"code": 99, "message": "Unable to verify your credentials"}]}), Refused),
    ],
)
async def test_without_a_bearer_token_the_app_may_ask_again_and_learns_why(raw: bytes, kind: type[XError]) -> None:
    async with Peer(always(raw)) as peer, a_client(peer.url) as x:
        with pytest.raises(kind) as caught:
            await oauth.app_bearer(x.caller, KEYS)
    assert caught.value.retryable == (kind is NoAnswer)
    assert "planted" not in everything_said_by(caught.value)


async def test_a_revocation_names_the_kind_and_may_be_repeated() -> None:
    async with Peer(always(answer(200, {"revoked": True}))) as peer, a_client(peer.url) as x:
        await oauth.revoke(x.caller, CONFIDENTIAL, SPENT, kind="refresh_token")
    assert head_and_body(peer.requests[0])[0] == "POST /2/oauth2/revoke HTTP/1.1"
    assert form_of(peer.requests[0]) == {"token": "planted refresh/t0ken", "token_type_hint": "refresh_token"}
    async with Peer(once(b"")) as peer, a_client(peer.url) as x:
        with pytest.raises(NoAnswer) as caught:
            await oauth.revoke(x.caller, CONFIDENTIAL, SPENT, kind="access_token")
    assert caught.value.retryable
