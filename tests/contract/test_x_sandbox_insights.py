"""The sandbox counts: trends, how much is said about something, and what became of one's own posts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import requests
from requests_oauthlib import OAuth1

from tests.x_sandbox_process import Caller, XSandboxProcess


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess) -> XSandboxProcess:
    process.reset()
    process.settings(access_token_seconds=10**8, reply_gate=False)
    return process


@pytest.fixture
def alice(sandbox: XSandboxProcess) -> Caller:
    return Caller(sandbox, "alice")


def app_only(sandbox: XSandboxProcess) -> httpx.Client:
    headers = {"Authorization": f"Bearer {sandbox.app_only_token()}"}
    return httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False)


def instant(sandbox: XSandboxProcess, **ago: float) -> str:
    now = datetime.fromisoformat(sandbox.control.get("/health").json()["now"])
    return (now - timedelta(**ago)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_trends_are_the_same_at_every_read_and_other_places_have_others(sandbox: XSandboxProcess) -> None:
    sandbox.clock(speed=0)  # they change places every quarter of an hour
    with app_only(sandbox) as app:
        first = app.get("/2/trends/by/woeid/1").json()["data"]
        assert app.get("/2/trends/by/woeid/1").json()["data"] == first
        sandbox.restart()
        assert app.get("/2/trends/by/woeid/1").json()["data"] == first
        assert len(first) == 20
        assert all(trend.keys() <= {"trend_name", "tweet_count"} for trend in first)
        assert {"tweet_count" in trend for trend in first} == {True, False}
        assert len(app.get("/2/trends/by/woeid/44418?max_trends=50").json()["data"]) == 50
        assert app.get("/2/trends/by/woeid/44418").json()["data"] != first
        assert app.get("/2/trends/by/woeid/44418?trend.fields=trend_name").json()["data"][0].keys() == {"trend_name"}


def test_what_the_accounts_tag_is_the_first_trend(sandbox: XSandboxProcess, alice: Caller) -> None:
    bob = Caller(sandbox, "bob")
    for caller in (alice, bob):
        caller.posted("Harbour #FerryDay and #alone" if caller is bob else "Harbour #ferryday")
    first = alice.get("/2/trends/by/woeid/23424975")["data"][0]
    assert first == {"trend_name": "#FerryDay", "tweet_count": 2}
    assert alice.get("/2/users/personalized_trends")["data"][0]["trend_name"] == "#FerryDay"
    sandbox.clock(ahead_seconds=86_401)
    assert alice.get("/2/trends/by/woeid/23424975")["data"][0]["trend_name"] != "#FerryDay"


def test_a_place_without_trends_is_an_error_and_no_place_at_all_is_refused(alice: Caller) -> None:
    assert alice.get("/2/trends/by/woeid/2")["errors"][0]["parameter"] == "woeid"
    assert alice.http.get("/2/trends/by/woeid/london").status_code == 400
    assert alice.http.get("/2/trends/by/woeid/1?max_trends=51").status_code == 400


def test_personal_trends_are_words_for_people(sandbox: XSandboxProcess, alice: Caller) -> None:
    sandbox.clock(speed=0)
    trends = alice.get("/2/users/personalized_trends")["data"]
    assert len(trends) == 10
    assert all(trend["trending_since"] == "Trending now" or "ago" in trend["trending_since"] for trend in trends)
    assert any(trend.get("post_count", "").endswith("K posts") for trend in trends)
    assert Caller(sandbox, "bob").get("/2/users/personalized_trends")["data"] != trends


@pytest.mark.parametrize(
    ("path", "app_may", "oauth1_may"),
    [
        ("/2/trends/by/woeid/1", True, False),
        ("/2/tweets/counts/recent?query=a", True, False),
        ("/2/users/personalized_trends", False, True),
        ("/2/tweets/analytics?ids=1&start_time=2026-01-01T00:00:00Z&end_time=2026-01-02T00:00:00Z", False, True),
    ],
)
def test_each_way_to_say_who_calls_is_taken_where_x_takes_it(
    sandbox: XSandboxProcess, path: str, app_may: bool, oauth1_may: bool
) -> None:
    token = sandbox.oauth1_token("alice")
    names = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
    as_account = requests.get(sandbox.url + path, auth=OAuth1(*(token[name] for name in names)), timeout=30)
    with app_only(sandbox) as app:
        as_app = app.get(path)
    for answer, may, way in ((as_app, app_may, "OAuth 2.0 Application-Only"), (as_account, oauth1_may, "OAuth 1.0a")):
        assert answer.status_code == (200 if may else 403)
        if not may:
            assert answer.json()["type"].endswith("/unsupported-authentication")
            assert answer.json()["detail"].startswith(f"Authenticating with {way}")


def counted(caller: Caller, query: str, **more: str) -> int:
    return int(caller.get("/2/tweets/counts/recent", query=query, **more)["meta"]["total_tweet_count"])


def test_counts_are_of_the_posts_that_are_there(sandbox: XSandboxProcess, alice: Caller) -> None:
    bob = Caller(sandbox, "bob")
    root = alice.posted("Fresh bread today #bakery https://example.com/menu")
    bob.posted("No bread for @alice", reply={"in_reply_to_tweet_id": root})
    bob.posted("Something about $FLOUR", quote_tweet_id=root)
    gone = bob.posted("stale bread")
    bob.http.delete(f"/2/tweets/{gone}")
    assert counted(alice, "bread") == 0, "X's index is some seconds behind"
    sandbox.clock(ahead_seconds=60)
    assert {
        query: counted(alice, query)
        for query in (
            "BREAD",
            '"bread today"',
            '"today bread"',
            "bread -today",
            "bread OR something",
            "(bread OR something) from:bob",
            "bread is:reply",
            "from:bob is:quote",
            "to:alice",
            "@alice",
            "#Bakery",
            "$flour",
            "bread has:links",
            "url:example.com",
            f"conversation_id:{root}",
            "from:nobody",
            "bread -is:retweet",
        )
    } == {
        "BREAD": 2,
        '"bread today"': 1,
        '"today bread"': 0,
        "bread -today": 1,
        "bread OR something": 3,
        "(bread OR something) from:bob": 2,
        "bread is:reply": 1,
        "from:bob is:quote": 1,
        "to:alice": 1,
        "@alice": 1,
        "#Bakery": 1,
        "$flour": 1,
        "bread has:links": 1,
        "url:example.com": 1,
        f"conversation_id:{root}": 2,
        "from:nobody": 0,
        "bread -is:retweet": 2,
    }
    sandbox.account("bob", protected=True)
    assert counted(alice, "bread") == 1


@pytest.mark.parametrize("granularity", ["minute", "hour", "day"])
def test_every_span_of_seven_days_is_there(sandbox: XSandboxProcess, alice: Caller, granularity: str) -> None:
    alice.posted("one")
    sandbox.clock(ahead_seconds=3 * 86_400)
    alice.posted("two")
    sandbox.clock(ahead_seconds=3 * 86_400 + 3_600)
    answer = alice.get("/2/tweets/counts/recent", query="one OR two", granularity=granularity)
    spans = answer["data"]
    assert sum(span["tweet_count"] for span in spans) == answer["meta"]["total_tweet_count"] == 2
    assert all(earlier["end"] == later["start"] for earlier, later in zip(spans, spans[1:], strict=False))
    covered = datetime.fromisoformat(spans[-1]["end"]) - datetime.fromisoformat(spans[0]["start"])
    assert timedelta(days=6, hours=23) < covered <= timedelta(days=7)
    if granularity != "minute":
        assert len(spans) == {"hour": 169, "day": 8}[granularity] or len(spans) == {"hour": 168, "day": 7}[granularity]


def test_counts_speak_the_newer_generation_when_they_are_asked_in_it(sandbox: XSandboxProcess, alice: Caller) -> None:
    alice.posted("bread")
    sandbox.clock(ahead_seconds=60)
    answer = alice.get("/2/tweets/counts/recent", query="bread", search_count__fields="start,end,post_count")
    assert answer["meta"] == {"total_post_count": 1}
    assert answer["data"][-1].keys() == {"start", "end", "post_count"}
    sandbox.settings(new_names=True)
    assert alice.get("/2/tweets/counts/recent", query="bread")["meta"] == {"total_post_count": 1}


def test_a_count_may_be_bounded_by_times_and_ids(sandbox: XSandboxProcess, alice: Caller) -> None:
    first = alice.posted("bread one")
    sandbox.clock(ahead_seconds=3_600)
    second = alice.posted("bread two")
    sandbox.clock(ahead_seconds=7_200)
    assert counted(alice, "bread", start_time=instant(sandbox, minutes=90)) == 1
    assert counted(alice, "bread", end_time=instant(sandbox, minutes=90)) == 1
    assert counted(alice, "bread", since_id=str(int(first) + (60_000 << 22))) == 1
    assert counted(alice, "bread", until_id=second) == 1


@pytest.mark.parametrize(
    "query",
    [
        "",
        "is:reply",
        "-bread",
        "-(bread)",
        "is:reply -(bread OR cake)",
        "(bread",
        "bread)",
        "OR",
        "lang:en bread",
        "colour:red",
        '"',
        "a" * 513,
        "(" * 30,
        "#",
    ],
)
def test_a_search_that_x_would_refuse_is_refused(alice: Caller, query: str) -> None:
    answer = alice.http.get("/2/tweets/counts/recent", params={"query": query})
    assert (answer.status_code, answer.json()["title"]) == (400, "Invalid Request")
    assert "query" in answer.json()["errors"][0]["parameters"]


def test_times_that_x_does_not_count_are_refused(sandbox: XSandboxProcess, alice: Caller) -> None:
    for wrong in (
        {"start_time": instant(sandbox, days=8)},
        {"end_time": instant(sandbox, seconds=1)},
        {"start_time": instant(sandbox, hours=1), "end_time": instant(sandbox, hours=2)},
        {"granularity": "week"},
        {"next_token": "abc"},
    ):
        assert alice.http.get("/2/tweets/counts/recent", params={"query": "a", **wrong}).status_code == 400


def analytics(caller: Caller, ids: str, sandbox: XSandboxProcess, **more: str) -> dict[str, Any]:
    wanted = {"start_time": instant(sandbox, days=30), "end_time": instant(sandbox), **more}
    return caller.get("/2/tweets/analytics", ids=ids, **wanted)


def test_analytics_agree_with_the_metrics_of_the_post(sandbox: XSandboxProcess, alice: Caller) -> None:
    post_id = alice.posted("see https://example.com")
    alice.posted("more", reply={"in_reply_to_tweet_id": post_id})
    sandbox.clock(ahead_seconds=3 * 86_400)
    (total,) = analytics(alice, post_id, sandbox)["data"]
    metrics = alice.get(f"/2/tweets/{post_id}", tweet__fields="public_metrics,non_public_metrics")["data"]
    assert total["likes"] == metrics["public_metrics"]["like_count"]
    assert total["retweets"] == metrics["public_metrics"]["retweet_count"]
    assert total["replies"] == 1
    assert abs(total["impressions"] - metrics["non_public_metrics"]["impression_count"]) <= 1
    assert total["url_clicks"] == metrics["non_public_metrics"]["url_link_clicks"]
    for granularity, most in (("hourly", 73), ("daily", 4), ("weekly", 2)):
        (spans,) = analytics(alice, post_id, sandbox, granularity=granularity)["data"]
        counts = [span["metrics"] for span in spans["timestamped_metrics"]]
        assert len(counts) in (most, most - 1)
        for name in ("impressions", "likes", "replies", "engagements"):
            assert sum(count[name] for count in counts) == total[name]


def test_analytics_are_of_own_posts_alone(sandbox: XSandboxProcess, alice: Caller) -> None:
    mine, theirs = alice.posted("mine"), Caller(sandbox, "bob").posted("theirs")
    answer = analytics(alice, f"{mine},{theirs},7", sandbox, analytics__fields="likes,impressions")
    assert [post.keys() for post in answer["data"]] == [{"id", "likes", "impressions"}]
    assert [(error["resource_id"], error["title"]) for error in answer["errors"]] == [
        (theirs, "Authorization Error"),
        ("7", "Not Found Error"),
    ]


@pytest.mark.parametrize(
    "query",
    [
        "ids=1",
        "ids=1&start_time=2026-01-02T00:00:00Z&end_time=2026-01-01T00:00:00Z",
        "ids=x&start_time=2026-01-01T00:00:00Z&end_time=2026-01-02T00:00:00Z",
        "ids=1&start_time=2026-01-01T00:00:00Z&end_time=2026-01-02T00:00:00Z&granularity=yearly",
        "ids=1&start_time=2016-01-01T00:00:00Z&end_time=2026-01-02T00:00:00Z&granularity=hourly",
        "ids=1&start_time=2026-01-01T00:00:00Z&end_time=2026-01-02T00:00:00Z&analytics.fields=smiles",
    ],
)
def test_analytics_that_x_would_refuse_are_refused(alice: Caller, query: str) -> None:
    assert alice.http.get(f"/2/tweets/analytics?{query}").status_code == 400
