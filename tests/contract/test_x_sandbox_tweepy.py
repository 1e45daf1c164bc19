"""A client that others wrote for X works on the sandbox."""

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import pytest
import requests
import tweepy
from oauthlib.oauth2.rfc6749.errors import InvalidClientIdError
from requests.adapters import HTTPAdapter

from tests.x_sandbox_process import XSandboxProcess

CALLBACK = "https://127.0.0.1/callback"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(500)
FILM = bytes(4) + b"ftypmp42" + bytes(500)
NAMELESS = b"--b\r\nContent-Disposition: form-data\r\n\r\nwhat?\r\n--b--\r\n"


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


def signing(sandbox: XSandboxProcess, username: str = "alice", **how: Any) -> tweepy.Client:
    given = sandbox.oauth1_token(username, **how)
    names = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
    return to_sandbox(tweepy.Client(**{name: given[name] for name in names}), sandbox)


def bearing(sandbox: XSandboxProcess, username: str = "alice") -> tweepy.Client:
    return to_sandbox(tweepy.Client(sandbox.tokens(username)[0]["access_token"]), sandbox)


def uploader(sandbox: XSandboxProcess, username: str = "alice") -> tweepy.API:
    """Tweepy has version 1.1 of X's media endpoints alone, and that takes OAuth 1.0a alone."""
    given = sandbox.oauth1_token(username)
    auth = tweepy.OAuth1UserHandler(
        given["consumer_key"], given["consumer_secret"], given["access_token"], given["access_token_secret"]
    )
    api = tweepy.API(auth)
    api.session.mount("https://", ToSandbox(sandbox.url))
    return api


class Way:
    """One of the two ways in which tweepy says for whom it speaks; `how` tells each call."""

    def __init__(self, name: str, sandbox: XSandboxProcess) -> None:
        self._open = {"OAuth 1.0a": signing, "OAuth 2": bearing}[name]
        self._sandbox = sandbox
        self.how = {"user_auth": name == "OAuth 1.0a"}
        self.client = self.of("alice")
        self.id = self.client.get_me(**self.how).data.id

    def of(self, username: str) -> tweepy.Client:
        return self._open(self._sandbox, username)

    def post(self, text: str, **more: Any) -> str:
        return str(self.client.create_tweet(text=text, **more, **self.how).data["id"])


@pytest.fixture(params=["OAuth 1.0a", "OAuth 2"])
def way(request: pytest.FixtureRequest, sandbox: XSandboxProcess) -> Way:
    return Way(request.param, sandbox)


def test_tweepy_posts_a_thread_reads_it_and_deletes(way: Way) -> None:
    me = way.client.get_me(user_fields=["description", "created_at"], **way.how).data
    assert me.username == "alice"
    first = way.post("Rain & <wind>: ü, 100 %")
    second = way.post("More", in_reply_to_tweet_id=first)
    query = {"expansions": ["referenced_tweets.id", "author_id"], "tweet_fields": ["created_at", "public_metrics"]}
    timeline = way.client.get_users_tweets(me.id, max_results=5, **query, **way.how)
    assert [str(post.id) for post in timeline.data] == [second, first]
    assert timeline.data[0].referenced_tweets[0].id == int(first)
    assert timeline.data[1].text == "Rain &amp; &lt;wind&gt;: ü, 100 %"
    assert timeline.data[1].public_metrics["reply_count"] == 1
    assert [str(post.id) for post in timeline.includes["tweets"]] == [first]
    found = way.client.get_tweets([first, 5], **way.how)
    assert (found.data[0].id, found.errors[0]["resource_id"]) == (int(first), "5")
    assert way.client.delete_tweet(first, **way.how).data == {"deleted": True}
    assert way.client.get_tweet(first, **way.how).errors[0]["title"] == "Not Found Error"


def test_tweepy_turns_the_pages_of_a_timeline(way: Way) -> None:
    made = [way.post(f"number {number}") for number in range(12)]
    pages = tweepy.Paginator(way.client.get_users_tweets, way.id, max_results=5, **way.how)
    assert [str(post.id) for post in pages.flatten()] == made[::-1]


def test_tweepy_posts_polls_and_quotes(way: Way) -> None:
    poll = way.post("Which?", poll_options=["a", "b"], poll_duration_minutes=60, reply_settings="mentionedUsers")
    (seen,) = way.client.get_tweet(poll, expansions="attachments.poll_ids", **way.how).includes["polls"]
    assert [option["label"] for option in seen.options] == ["a", "b"]
    quote = way.post("this", quote_tweet_id=poll)
    (reference,) = way.client.get_tweet(quote, tweet_fields="referenced_tweets", **way.how).data.referenced_tweets
    assert (reference.type, reference.id) == ("quoted", int(poll))


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
def test_tweepy_uploads_pictures_and_films_and_posts_them(way: Way, sandbox: XSandboxProcess, tmp_path: Path) -> None:
    sandbox.settings(media_processing_seconds=0.3)
    api = uploader(sandbox)
    picture, film = tmp_path / "rain.png", tmp_path / "rain.mp4"
    picture.write_bytes(PICTURE)
    film.write_bytes(FILM)
    shown = api.media_upload(picture)
    assert (shown.media_id_string, shown.size) == (str(shown.media_id), len(PICTURE))
    api.create_media_metadata(shown.media_id, "Rain on a roof")
    pieces = api.media_upload(str(picture), chunked=True, chunk_size=100)
    played = api.media_upload(str(film), media_category="tweet_video")
    assert played.processing_info["state"] == "succeeded"
    one = way.post("two pictures", media_ids=[shown.media_id, pieces.media_id])
    two = way.post("a film", media_ids=[played.media_id])
    query = {"expansions": "attachments.media_keys", "media_fields": ["alt_text", "type"]}
    media = way.client.get_tweets([one, two], **query, **way.how).includes["media"]
    assert [(each.type, each.alt_text) for each in media] == [
        ("photo", "Rain on a roof"),
        ("photo", None),
        ("video", None),
    ]


def test_tweepy_is_told_what_is_wrong_with_an_upload(sandbox: XSandboxProcess, tmp_path: Path) -> None:
    api = uploader(sandbox)
    (tmp_path / "rain.png").write_bytes(b"no picture")
    with pytest.raises(tweepy.BadRequest, match="media type unrecognized"):
        api.simple_upload(tmp_path / "rain.png")
    with pytest.raises(tweepy.BadRequest, match="does not go with"):
        api.chunked_upload_init(10, "image/png", media_category="tweet_video")
    with pytest.raises(tweepy.BadRequest, match="media_type"):
        api.chunked_upload_init(10, "text/plain")
    media = api.chunked_upload_init(10, "image/png", additional_owners=[5])
    with pytest.raises(tweepy.BadRequest, match="add up"):
        api.chunked_upload_finalize(media.media_id)
    with pytest.raises(tweepy.NotFound):
        api.get_media_upload_status(5)
    with pytest.raises(tweepy.NotFound):
        api.create_media_metadata(5, "not there")
    with pytest.raises(tweepy.Forbidden, match="not authorized"):
        uploader(sandbox, "bob").chunked_upload_append(media.media_id, ("rain.png", PICTURE[:10]), 0)
    path = f"{sandbox.url}/1.1/media/upload.json"
    bearer = {"Authorization": f"Bearer {sandbox.tokens('alice')[0]['access_token']}"}
    assert requests.get(path, headers=bearer, timeout=10).json()["title"] == "Unsupported Authentication"


@pytest.mark.parametrize(
    ("method", "given", "status"),
    [
        ("POST", {"data": {"media_data": base64.b64encode(PICTURE).decode(), "media_category": "TWEET_IMAGE"}}, 200),
        ("POST", {"data": {"media_data": base64.b64encode(PICTURE).decode(), "media_category": "cat"}}, 400),
        ("POST", {"data": {"command": "INIT", "total_bytes": "10", "media_type": "image/png"}}, 202),
        ("POST", {"params": {"command": "INIT", "total_bytes": "10", "media_type": "image/png"}}, 202),
        ("POST", {"data": {"command": "INIT", "total_bytes": "ten", "media_type": "image/png"}}, 400),
        ("POST", {"data": {"command": "SING"}}, 400),
        ("POST", {"data": {"media_data": "?"}}, 400),
        ("POST", {"data": b"what?", "headers": {"content-type": "text/plain"}}, 400),
        ("POST", {"data": NAMELESS, "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400),
        ("POST", {"data": b"", "headers": {"content-type": "multipart/form-data"}}, 400),
        ("GET", {"params": {"media_id": "5"}}, 400),
    ],
)
def test_an_upload_by_hand(sandbox: XSandboxProcess, method: str, given: dict[str, Any], status: int) -> None:
    api = uploader(sandbox)
    path = "https://upload.twitter.com/1.1/media/upload.json"
    answer = api.session.request(method, path, auth=api.auth.apply_auth(), timeout=10, **given)
    assert answer.status_code == status
    assert answer.json().get("request") == (None if status < 400 else "/1.1/media/upload.json")


def test_tweepy_looks_up_accounts_and_reads_mentions(way: Way) -> None:
    bob = way.of("bob")
    mention = bob.create_tweet(text="@alice look", **way.how).data["id"]
    assert [str(post.id) for post in way.client.get_users_mentions(way.id, **way.how).data] == [mention]
    reply = way.post("I do", in_reply_to_tweet_id=mention)
    assert [str(post.id) for post in bob.get_users_mentions(bob.get_me(**way.how).data.id, **way.how).data] == [reply]
    users = way.client.get_users(usernames=["bob", "nobody"], **way.how)
    assert (users.data[0].username, users.errors[0]["value"]) == ("bob", "nobody")
    assert way.client.get_user(username="bob", **way.how).data.id == users.data[0].id
    assert way.client.get_users(ids=[way.id], **way.how).data[0].username == "alice"


def test_tweepy_understands_refusals(way: Way, sandbox: XSandboxProcess) -> None:
    way.post("once")
    with pytest.raises(tweepy.Forbidden, match="duplicate content"):
        way.post("once")
    with pytest.raises(tweepy.BadRequest, match="too long"):
        way.post("x" * 281)
    sandbox.settings(limits={"POST /2/tweets": {"user_15_minutes": 1}})
    with pytest.raises(tweepy.TooManyRequests) as beyond:
        way.post("twice")
    headers = beyond.value.response.headers
    assert (headers["x-rate-limit-limit"], headers["x-rate-limit-remaining"]) == ("1", "0")
    assert int(headers["x-rate-limit-reset"]) > time.time()


def test_tweepy_gets_its_tokens_by_a_consent(sandbox: XSandboxProcess) -> None:
    app = sandbox.app(redirect_uri=CALLBACK)
    handler = tweepy.OAuth2UserHandler(
        client_id=app["client_id"],
        client_secret=app["client_secret"],
        redirect_uri=CALLBACK,
        scope=["tweet.read", "tweet.write", "users.read", "offline.access"],
    )
    handler.mount("https://", ToSandbox(sandbox.url))
    asked = urlsplit(handler.get_authorization_url())
    form = {**dict(parse_qsl(asked.query)), "username": "alice", "decision": "allow"}
    back = requests.post(f"{sandbox.url}{asked.path}", data=form, allow_redirects=False, timeout=10)
    tokens = handler.fetch_token(back.headers["location"])
    client = to_sandbox(tweepy.Client(tokens["access_token"]), sandbox)
    assert client.get_me(user_auth=False).data.username == "alice"
    refreshed = handler.refresh_token("https://api.twitter.com/2/oauth2/token", auth=handler.auth)
    client = to_sandbox(tweepy.Client(refreshed["access_token"]), sandbox)
    assert client.create_tweet(text="with the second token", user_auth=False).data["id"]
    with pytest.raises(InvalidClientIdError):  # oauthlib's word for invalid_request; the first token is used up
        handler.refresh_token(
            "https://api.twitter.com/2/oauth2/token", refresh_token=tokens["refresh_token"], auth=handler.auth
        )


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
