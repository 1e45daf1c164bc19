"""A client that others wrote for X works on the sandbox."""

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


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tweepy.Client]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        client = tweepy.Client(sandbox.tokens("alice")[0]["access_token"])
        client.session.mount("https://", ToSandbox(sandbox.url))
        yield client


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
