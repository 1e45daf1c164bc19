"""X's own client, generated from its OpenAPI document and fluent in the newer names alone, works on the sandbox."""

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import xdk
from xdk.oauth1_auth import OAuth1

from tests.x_sandbox_process import REDIRECT_URI, XSandboxProcess

SCOPES = ["tweet.read", "tweet.write", "users.read", "media.write", "offline.access"]
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(500)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess, monkeypatch: pytest.MonkeyPatch) -> XSandboxProcess:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # the library under xdk insists on https otherwise
    process.reset()
    process.settings(new_names=True)
    return process


@pytest.fixture
def client(sandbox: XSandboxProcess) -> xdk.Client:
    return xdk.Client(base_url=sandbox.url, access_token=sandbox.tokens("alice")[0]["access_token"])


def consent(address: str) -> str:
    """What a person does on the page: choose an account and allow; the address that X sends the browser back to."""
    form = {**dict(parse_qsl(urlsplit(address).query)), "username": "alice", "decision": "allow"}
    answer = requests.post(address.partition("?")[0], data=form, allow_redirects=False, timeout=10)
    return answer.headers["location"]


def test_a_consent_becomes_tokens_and_a_refresh_new_ones(sandbox: XSandboxProcess) -> None:
    app = sandbox.app()
    client = xdk.Client(
        base_url=sandbox.url,
        authorization_base_url=f"{sandbox.url}/i",
        client_id=app["client_id"],
        client_secret=app["client_secret"],
        redirect_uri=REDIRECT_URI,
        scope=SCOPES,
    )
    first = client.fetch_token(consent(client.get_authorization_url(state="s")))
    assert client.users.get_me().data.username == "alice"
    second = client.refresh_token()
    assert first["refresh_token"] != second["refresh_token"]
    assert client.posts.create(body={"text": "with the second token"}).data.id
    assert [entry["grant"] for entry in sandbox.ledger("token")] == ["authorization_code", "refresh_token"]


def test_a_thread_with_a_picture_is_read_back(client: xdk.Client, sandbox: XSandboxProcess) -> None:
    opening = {"media_type": "image/png", "total_bytes": len(PICTURE), "media_category": "tweet_image"}
    picture = client.media.initialize_upload(body=opening).data.id
    client.media.append_upload(picture, body={"media": base64.b64encode(PICTURE).decode(), "segment_index": 0})
    assert client.media.finalize_upload(picture).data.size == len(PICTURE)
    client.media.create_metadata(body={"id": picture, "metadata": {"alt_text": {"text": "Rain"}}})
    first = client.posts.create(body={"text": "first", "media": {"media_ids": [picture]}}).data
    assert first.edit_history_post_ids == [first.id]
    reply = {"in_reply_to_tweet_id": first.id}
    second = client.posts.create(body={"text": "second", "reply": reply}).data.id

    me = client.users.get_me().data.id
    fields: dict[str, Any] = {"post_fields": ["created_at", "referenced_posts", "public_metrics"]}
    fields |= {"expansions": ["attachments.media_keys"], "media_fields": ["alt_text"]}
    (page,) = client.users.get_posts(me, max_results=5, **fields)
    assert [post.id for post in page.data] == [second, first.id]
    assert page.data[0].referenced_posts[0].id == first.id
    assert page.data[0].public_metrics.repost_count == 0
    assert page.includes.media[0].alt_text == "Rain"
    assert client.posts.delete(second).data.deleted
    found = client.posts.get_by_ids(ids=[first.id, second])
    assert ([post.id for post in found.data], len(found.errors)) == ([first.id], 1)


def test_lookups_mentions_counts_and_trends_are_understood(client: xdk.Client, sandbox: XSandboxProcess) -> None:
    bob = xdk.Client(base_url=sandbox.url, access_token=sandbox.tokens("bob")[0]["access_token"])
    mention = bob.posts.create(body={"text": "@alice look, #rain"}).data.id
    me = client.users.get_me().data.id
    assert [post.id for page in client.users.get_mentions(me, max_results=5) for post in page.data] == [mention]
    users = client.users.get_by_usernames(usernames=["bob", "nobody"])
    assert ([user.username for user in users.data], len(users.errors)) == (["bob"], 1)
    sandbox.clock(ahead_seconds=60)
    (counts,) = client.posts.get_counts_recent(query="#rain")
    assert counts.meta.total_post_count == sum(span.post_count for span in counts.data) == 1
    assert client.trends.get_by_woeid(woeid=1).data[0].trend_name
    assert any(trend.post_count for trend in client.trends.get_personalized().data)


def test_it_signs_with_oauth1(sandbox: XSandboxProcess) -> None:
    given = sandbox.oauth1_token("alice")
    auth = OAuth1(
        api_key=given["consumer_key"],
        api_secret=given["consumer_secret"],
        callback=REDIRECT_URI,
        access_token=given["access_token"],
        access_token_secret=given["access_token_secret"],
    )
    client = xdk.Client(base_url=sandbox.url, auth=auth)
    assert client.posts.create(body={"text": "signed"}).data.text == "signed"
    assert client.users.get_me().data.username == "alice"


def test_refusals_are_understood(client: xdk.Client, sandbox: XSandboxProcess) -> None:
    client.posts.create(body={"text": "once"})
    with pytest.raises(requests.HTTPError, match="403"):
        client.posts.create(body={"text": "once"})
    sandbox.settings(limits={"GET /2/users/me": {"user_15_minutes": 1}})
    client.users.get_me()
    with pytest.raises(requests.HTTPError, match="429"):
        client.users.get_me()
