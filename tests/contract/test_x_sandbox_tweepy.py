"""A client that others wrote for X works on the sandbox."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
import tweepy
from requests.adapters import HTTPAdapter

from tests.x_sandbox_process import XSandboxProcess


class ToSandbox(HTTPAdapter):
    """Sends what is meant for X to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = urlsplit(url)

    def send(self, request: requests.PreparedRequest, *how: Any, **more: Any) -> requests.Response:
        meant = urlsplit(request.url or "")
        request.url = urlunsplit(meant._replace(scheme=self._url.scheme, netloc=self._url.netloc))
        return super().send(request, *how, **{**more, "proxies": {}})


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess) -> XSandboxProcess:
    process.reset()
    return process


def to_sandbox(client: tweepy.Client, sandbox: XSandboxProcess) -> tweepy.Client:
    client.session.mount("https://", ToSandbox(sandbox.url))
    return client


@pytest.fixture
def client(sandbox: XSandboxProcess) -> tweepy.Client:
    return to_sandbox(tweepy.Client(sandbox.tokens("alice")[0]["access_token"]), sandbox)


def signing(sandbox: XSandboxProcess, username: str = "alice", **how: Any) -> tweepy.Client:
    given = sandbox.oauth1_token(username, **how)
    names = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
    return to_sandbox(tweepy.Client(**{name: given[name] for name in names}), sandbox)


def test_tweepy_posts_reads_and_deletes(client: tweepy.Client) -> None:
    me = client.get_me(user_auth=False, user_fields=["description", "created_at"]).data
    assert me.username == "alice"
    first = client.create_tweet(text="Rain & <wind>", user_auth=False).data
    second = client.create_tweet(text="More", in_reply_to_tweet_id=first["id"], user_auth=False).data
    timeline = client.get_users_tweets(me.id, tweet_fields=["created_at", "referenced_tweets"], max_results=5)
    assert [str(post.id) for post in timeline.data] == [second["id"], first["id"]]
    assert timeline.data[0].referenced_tweets[0].id == int(first["id"])
    assert timeline.data[1].text == "Rain &amp; &lt;wind&gt;"
    assert client.get_tweets([first["id"], 5]).errors[0]["resource_id"] == "5"
    assert client.delete_tweet(first["id"], user_auth=False).data == {"deleted": True}


def test_tweepy_understands_a_refusal(client: tweepy.Client) -> None:
    client.create_tweet(text="once", user_auth=False)
    with pytest.raises(tweepy.Forbidden, match="duplicate content"):
        client.create_tweet(text="once", user_auth=False)
    with pytest.raises(tweepy.BadRequest, match="too long"):
        client.create_tweet(text="x" * 281, user_auth=False)


def test_tweepy_signs_with_oauth1(sandbox: XSandboxProcess) -> None:
    client = signing(sandbox)
    me = client.get_me().data
    first = client.create_tweet(text="Signed & sealed: ü, 100 %").data
    second = client.create_tweet(text="More", in_reply_to_tweet_id=first["id"]).data
    query = {"expansions": ["referenced_tweets.id", "author_id"], "max_results": 5, "user_auth": True}
    timeline = client.get_users_tweets(me.id, **query)
    assert [str(post.id) for post in timeline.data] == [second["id"], first["id"]]
    assert [str(post.id) for post in timeline.includes["tweets"]] == [first["id"]]
    assert client.get_users(usernames=["alice", "nobody"], user_auth=True).errors[0]["value"] == "nobody"
    poll = client.create_tweet(text="Which?", poll_options=["a", "b"], poll_duration_minutes=60).data
    assert client.get_tweet(poll["id"], expansions="attachments.poll_ids", user_auth=True).includes["polls"]
    assert client.delete_tweet(first["id"]).data == {"deleted": True}


def test_tweepy_is_told_what_its_token_may_not_do(sandbox: XSandboxProcess) -> None:
    with pytest.raises(tweepy.Forbidden, match="oauth1 app permissions"):
        signing(sandbox, read_only=True).create_tweet(text="no")
    wrong = signing(sandbox)
    wrong.access_token_secret = "wrong"  # pragma: allowlist secret
    with pytest.raises(tweepy.Unauthorized):
        wrong.get_me()


def test_tweepy_reads_for_an_app_that_acts_for_nobody(sandbox: XSandboxProcess) -> None:
    post = signing(sandbox).create_tweet(text="for all").data
    app = sandbox.app()
    answer = requests.post(
        f"{sandbox.url}/2/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(app["client_id"], app["client_secret"]),
        timeout=10,
    )
    client = to_sandbox(tweepy.Client(answer.json()["access_token"]), sandbox)
    assert client.get_tweet(post["id"]).data.text == "for all"
    with pytest.raises(tweepy.Forbidden, match="Application-Only is forbidden"):
        client.create_tweet(text="by whom?", user_auth=False)
    with pytest.raises(tweepy.Forbidden, match="Application-Only is forbidden"):
        client.get_me(user_auth=False)


def header_of(signed: requests.PreparedRequest) -> str:
    header = signed.headers["Authorization"]
    return header.decode() if isinstance(header, bytes) else header


def test_a_signed_request_counts_once_and_not_forever(sandbox: XSandboxProcess) -> None:
    given = sandbox.oauth1_token("alice")
    auth = tweepy.OAuth1UserHandler(
        given["consumer_key"], given["consumer_secret"], given["access_token"], given["access_token_secret"]
    ).apply_auth()
    signed = requests.Request("GET", f"{sandbox.url}/2/users/me", auth=auth).prepare()
    with requests.Session() as session:
        session.trust_env = False
        sandbox.fault("delay", endpoint="GET /2/users/me", milliseconds=1)
        assert [session.send(signed).status_code for _ in range(2)] == [200, 401]
        endless = re.sub(r'oauth_timestamp="\d+"', f'oauth_timestamp="{"9" * 5_000}"', header_of(signed))
        assert session.get(signed.url, headers={"Authorization": endless}).status_code == 401
        sandbox.clock(ahead_seconds=301)
        assert session.send(requests.Request("GET", signed.url, auth=auth).prepare()).status_code == 401
