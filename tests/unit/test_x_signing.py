"""OAuth 1.0a: the published examples come out to the letter, and no secret goes further than the signature."""

import base64
import re
from urllib.parse import unquote

import httpx
import pytest
from pydantic import SecretStr

from blocks.x.client import XClient
from blocks.x.errors import XError
from blocks.x.signing import AppKeys, OAuth1, base_string, signature
from blocks.x.wire import CreatePost
from tests.unit.test_x_client import head_and_body
from tests.unit.test_x_faults import everything_said_by
from tests.unit.x_peer import Peer, a_client, always, answer, once

# The example of https://docs.x.com/fundamentals/authentication/oauth-1-0a/creating-a-signature: X published
# these credentials, they open nothing.
OF_X = OAuth1(
    AppKeys(
        "xvz1evFS4wEEPTGEFPHBog",
        SecretStr("kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw"),  # pragma: allowlist secret
    ),
    SecretStr("370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb"),  # pragma: allowlist secret
    SecretStr("LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE"),  # pragma: allowlist secret
)
X_FORM = {"status": "Hello Ladies + Gentlemen, a signed OAuth request!"}
X_NONCE = "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg"  # pragma: allowlist secret
PLANTED = OAuth1(
    AppKeys("the-key", SecretStr("planted/app+secret")),
    SecretStr("planted-access/token"),
    SecretStr("planted+token&secret"),
)


def told_in(header: str) -> dict[str, str]:
    return {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', header)}


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        (
            "https://api.twitter.com/1.1/statuses/update.json?include_entities=true",
            "hCtSmYh+iHYCEqBWrE7C7hYmtUk=",  # pragma: allowlist secret
        ),
        # An earlier edition of the page, whose address was that of API 1.
        (
            "https://api.twitter.com/1/statuses/update.json?include_entities=true",
            "tnnArxj06cWHq44gCs1OSKk/jLY=",  # pragma: allowlist secret
        ),
    ],
)
def test_the_examples_of_x_are_signed_as_x_signs_them(url: str, signed: str) -> None:
    header = OF_X.header_at(1318622958, X_NONCE, "POST", httpx.URL(url), X_FORM)
    assert told_in(header) == {
        "oauth_consumer_key": "xvz1evFS4wEEPTGEFPHBog",
        "oauth_nonce": X_NONCE,
        "oauth_signature": signed,
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": "1318622958",
        "oauth_token": OF_X.access_token.get_secret_value(),
        "oauth_version": "1.0",
    }
    assert header.startswith("OAuth oauth_consumer_key=")


@pytest.mark.parametrize(
    ("method", "url", "parameters", "token_secret", "signed"),
    [
        (
            "POST",
            "https://photos.example.net/initiate",
            {
                "oauth_timestamp": "137131200",
                "oauth_nonce": "wIjqoS",
                "oauth_callback": "http://printer.example.com/ready",
            },
            None,
            "74KNZJeDHnMBp0EMJ9ZHt/XKycU=",
        ),
        (
            "POST",
            "https://photos.example.net/token",
            {
                "oauth_token": "hh5s93j4hdidpola",
                "oauth_timestamp": "137131201",
                "oauth_nonce": "walatlh",
                "oauth_verifier": "hfdp7dh39dks9884",
            },
            "hdhd0244k9j7ao03",
            "gKgrFCywp7rO0OXSjdot/IHF7IU=",
        ),
        (
            "GET",
            "http://photos.example.net/photos?file=vacation.jpg&size=original",
            {"oauth_token": "nnch734d00sl2jdk", "oauth_timestamp": "137131202", "oauth_nonce": "chapoH"},
            "pfkkdhi9sl3r4s00",
            "MdpQcU8iPSUjWoN/UDMsK2sui9I=",
        ),
    ],
)
def test_the_examples_of_the_standard_are_signed(
    method: str, url: str, parameters: dict[str, str], token_secret: str | None, signed: str
) -> None:
    # RFC 5849, section 1.2.
    told = {"oauth_consumer_key": "dpf43f3p2l4k3l03", "oauth_signature_method": "HMAC-SHA1", **parameters}
    base = base_string(method, httpx.URL(url), told.items())
    secret = SecretStr(token_secret) if token_secret else None
    assert signature(base, SecretStr("kd94hf93k423kf44"), secret) == signed


def test_the_base_string_of_the_standard() -> None:
    # RFC 5849, section 3.4.1.1; the form of its example is c2&a3=2+q.
    parameters = [
        ("oauth_consumer_key", "9djdj82h48djs9d2"),
        ("oauth_token", "kkk9d7dh3k39sjv7"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131201"),
        ("oauth_nonce", "7d8f3e4a"),
        ("c2", ""),
        ("a3", "2 q"),
    ]
    url = httpx.URL("http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b")
    assert base_string("post", url, parameters) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D"
        "%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-"
        "SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    )


async def test_every_request_is_signed_for_its_own_address_and_never_twice_alike() -> None:
    async with Peer(always(answer(200, {"data": [{"id": "12"}]}))) as peer, a_client(peer.url) as x:
        for _ in range(2):
            await x.posts(PLANTED, ["12", "11"])
    nonces = set()
    for request in peer.requests:
        first, headers, _ = head_and_body(request)
        told = told_in(headers["authorization"])
        nonces.add(told["oauth_nonce"])
        signed = told.pop("oauth_signature")
        # What a verifier does: the address as it came over the wire, and all that was told but the signature.
        base = base_string("GET", httpx.URL(peer.url + first.split(" ")[1]), told.items())
        assert signature(base, PLANTED.app.api_key_secret, PLANTED.access_token_secret) == signed
    assert len(nonces) == 2


async def test_the_json_of_a_post_is_not_signed() -> None:
    async with Peer(always(answer())) as peer, a_client(peer.url) as x:
        await x.create_post(PLANTED, CreatePost(text="rain & shine"))
    told = told_in(head_and_body(peer.requests[0])[1]["authorization"])
    signed = told.pop("oauth_signature")
    base = base_string("POST", httpx.URL(peer.url + "/2/tweets"), told.items())
    assert signature(base, PLANTED.app.api_key_secret, PLANTED.access_token_secret) == signed


async def failures_of(x: XClient) -> list[XError]:
    failures = []
    for ask in (x.create_post(PLANTED, CreatePost(text="a")), x.posts(PLANTED, ["12"])):
        with pytest.raises(XError) as caught:
            await ask
        failures.append(caught.value)
    return failures


ECHO = {"detail": "you said planted/app+secret planted-access/token planted-access%2Ftoken planted+token&secret"}


@pytest.mark.parametrize("raw", [answer(400, ECHO), answer(401, ECHO), answer(500, ECHO), b"planted\r\n\r\n", b""])
async def test_no_error_repeats_a_secret_of_oauth_1(raw: bytes) -> None:
    async with Peer(once(raw)) as peer, a_client(peer.url) as x:
        for error in await failures_of(x):
            said = everything_said_by(error)
            assert "planted" not in said
            assert "oauth_signature" not in said


async def test_credentials_show_nothing_of_what_they_hold() -> None:
    assert "planted" not in repr(PLANTED) + str(PLANTED)
    assert base64.b64encode(b"planted").decode() not in repr(PLANTED)
