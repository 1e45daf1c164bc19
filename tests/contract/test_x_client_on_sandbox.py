"""Our own client makes each of its calls on the sandbox, with every kind of credentials and in both generations."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from blocks.x import insights, media, oauth
from blocks.x.client import XClient
from blocks.x.errors import Duplicate, InvalidGrant, Throttled, Unauthorized
from blocks.x.signing import AppKeys, OAuth1
from blocks.x.wire import CreateMedia, CreatePoll, CreatePost, CreateReply
from tests.x_sandbox_process import REDIRECT_URI, XSandboxProcess

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(500)
FILM = bytes(4) + b"ftypmp42" + bytes(500)
SCOPES = ("tweet.read", "tweet.write", "users.read", "media.write", "offline.access")

Authorization = SecretStr | OAuth1


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture(params=["older names", "newer names"])
def sandbox(process: XSandboxProcess, request: pytest.FixtureRequest) -> XSandboxProcess:
    process.reset()
    process.settings(new_names=request.param == "newer names", media_processing_seconds=0.3)
    return process


@pytest.fixture
async def x(sandbox: XSandboxProcess) -> AsyncIterator[XClient]:
    async with XClient(sandbox.url, lanes=2, connect_timeout_seconds=2, deadline_seconds=10) as client:
        yield client


def keys(given: dict[str, str]) -> AppKeys:
    return AppKeys(given["consumer_key"], SecretStr(given["consumer_secret"]))


@pytest.fixture(params=["OAuth 2", "OAuth 1.0a"])
def alice(sandbox: XSandboxProcess, request: pytest.FixtureRequest) -> Authorization:
    if request.param == "OAuth 2":
        return SecretStr(sandbox.tokens("alice")[0]["access_token"])
    given = sandbox.oauth1_token("alice")
    return OAuth1(keys(given), SecretStr(given["access_token"]), SecretStr(given["access_token_secret"]))


def consented(page: str) -> dict[str, str]:
    """What a person does on the page: choose an account and allow; what X sends back with the browser."""
    form = {**dict(parse_qsl(urlsplit(page).query)), "username": "alice", "decision": "allow"}
    back = httpx.post(page.partition("?")[0], data=form, trust_env=False).headers["location"]
    return dict(parse_qsl(urlsplit(back).query))


async def posted(x: XClient, alice: Authorization, text: str, **more: object) -> str:
    return (await x.create_post(alice, CreatePost(text=text, **more))).data.id


async def test_posts_threads_quotes_and_polls(x: XClient, alice: Authorization) -> None:
    me = (await x.me(alice)).data
    assert me.username == "alice"
    first = await posted(x, alice, "Rain & <wind>")
    second = await posted(x, alice, "More", reply=CreateReply(in_reply_to_tweet_id=first))
    quote = await posted(x, alice, "This", quote_tweet_id=first, made_with_ai=True)
    poll = await posted(x, alice, "Which?", poll=CreatePoll(options=["a", "b"], duration_minutes=60))
    timeline = await x.user_timeline(alice, me.id, since_id=first, expand=["referenced_posts", "attachments.poll_ids"])
    assert [post.id for post in timeline.data] == [poll, quote, second]
    assert [reference.id for reference in timeline.data[2].referenced_posts or ()] == [first]
    assert timeline.data[0].public_metrics and timeline.data[0].public_metrics.repost_count is not None
    assert timeline.limits.rate and timeline.limits.rate.limit == 900
    assert (await x.delete_post(alice, second)).data.deleted
    found = await x.posts(alice, [first, second, "7"], private_metrics=True)
    assert ([post.id for post in found.data], len(found.errors)) == ([first], 2)
    assert found.data[0].non_public_metrics is not None


async def test_media(x: XClient, alice: Authorization) -> None:
    picture = media.NewMedia(media_type="image/png", media_category="tweet_image", total_bytes=len(PICTURE))
    shown = (await media.upload(x.caller, alice, picture, PICTURE, segment_bytes=100)).data
    await media.describe(x.caller, alice, media.AltText(id=shown.id, text="Rain"))
    film = media.NewMedia(media_type="video/mp4", media_category="tweet_video", total_bytes=len(FILM))
    played = (await media.upload(x.caller, alice, film, FILM, segment_bytes=1_000)).data
    played = await media.settle(x.caller, alice, played, within_seconds=10, look_after_seconds_min=0.1)
    assert (shown.state, played.state) == ("succeeded", "succeeded")
    one = await posted(x, alice, "a picture", media=CreateMedia(media_ids=[shown.id]))
    two = await posted(x, alice, "", media=CreateMedia(media_ids=[played.id]))
    found = await x.posts(alice, [one, two], expand=["attachments.media_keys"])
    assert [(each.type, each.alt_text) for each in found.includes.media] == [("photo", "Rain"), ("video", None)]


async def test_accounts_and_mentions(x: XClient, alice: Authorization, sandbox: XSandboxProcess) -> None:
    bob = SecretStr(sandbox.tokens("bob")[0]["access_token"])
    mention = await posted(x, bob, "@alice look")
    me = (await x.me(alice)).data.id
    mentions = await x.mentions(alice, me)
    assert [post.id for post in mentions.data] == [mention]
    assert [user.username for user in mentions.includes.users] == ["bob"]
    named = await x.users_by(alice, ["bob", "nobody"])
    assert ([user.username for user in named.data], len(named.errors)) == (["bob"], 1)
    assert [user.id for user in (await x.users(alice, [me])).data] == [me]


async def test_what_x_knows_of_trends_and_of_ones_posts(x: XClient, sandbox: XSandboxProcess) -> None:
    given = sandbox.oauth1_token("alice")
    app = await oauth.app_bearer(x.caller, keys(given))
    alice = SecretStr(sandbox.tokens("alice")[0]["access_token"])
    post = await posted(x, alice, "#rain")
    sandbox.clock(ahead_seconds=3_600)
    assert [trend.trend_name for trend in (await insights.trends(x.caller, app, 1, max_trends=3)).data]
    assert (await insights.personalized_trends(x.caller, alice)).data[0].trend_name
    counts = await insights.post_counts(x.caller, app, "#rain")
    assert counts.meta and counts.meta.total_post_count == sum(span.post_count for span in counts.data) == 1
    now = datetime.now(UTC)
    figures = await insights.post_analytics(
        x.caller, alice, [post, "7"], start_time=now - timedelta(hours=1), end_time=now + timedelta(hours=1)
    )
    assert (figures.data[0].id, len(figures.errors)) == (post, 1)
    assert figures.data[0].impressions is not None


@pytest.mark.parametrize("confidential", [True, False])
async def test_consent_refresh_and_revocation(x: XClient, sandbox: XSandboxProcess, confidential: bool) -> None:
    made = sandbox.app("public" if not confidential else "app", confidential=confidential)
    app = oauth.OAuthApp(made["client_id"], SecretStr(made["client_secret"]) if confidential else None)
    verifier = oauth.new_verifier()
    page = oauth.authorize_url(
        f"{sandbox.url}/i/oauth2/authorize",
        client_id=app.client_id,
        redirect_uri=REDIRECT_URI,
        scopes=SCOPES,
        state="s",
        challenge=oauth.challenge_of(verifier),
    )
    code = SecretStr(consented(page)["code"])
    first = await oauth.exchange_code(x.caller, app, code=code, verifier=verifier, redirect_uri=REDIRECT_URI)
    assert first.refresh_token
    second = await oauth.refresh(x.caller, app, first.refresh_token)
    assert (await x.me(second.access_token)).data.username == "alice"
    await oauth.revoke(x.caller, app, second.access_token, kind="access_token")
    with pytest.raises(Unauthorized):
        await x.me(second.access_token)
    with pytest.raises(InvalidGrant):
        await oauth.refresh(x.caller, app, first.refresh_token)


async def test_refusals(x: XClient, alice: Authorization, sandbox: XSandboxProcess) -> None:
    await posted(x, alice, "once")
    with pytest.raises(Duplicate):
        await posted(x, alice, "once")
    sandbox.settings(limits={"POST /2/tweets": {"user_15_minutes": 1}})
    with pytest.raises(Throttled) as caught:
        await posted(x, alice, "twice")
    assert caught.value.retry_at and caught.value.retry_at > datetime.now(UTC)
