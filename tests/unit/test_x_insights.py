"""Trends, counts and analytics: what is asked, and what is read in both generations of names."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from blocks.x import insights
from blocks.x.client import XClient
from blocks.x.errors import NoAnswer, Refused, XError
from tests.unit.test_x_client import head_and_body, query_of
from tests.unit.test_x_faults import everything_said_by
from tests.unit.x_peer import Peer, a_client, always, answer

TOKEN = SecretStr("planted-t0ken/of+app=a")
START, END = datetime(2026, 11, 22, 9, 0, 0, 500_000, tzinfo=UTC), datetime(2026, 11, 23, 9, 0, 0, 1, tzinfo=UTC)
FORBIDDEN = {"type": "https://api.x.com/2/problems/not-authorized-for-resource", "detail": TOKEN.get_secret_value()}


def path_of(peer: Peer) -> str:
    return head_and_body(peer.requests[0])[0].split(" ")[1].partition("?")[0]


@pytest.mark.parametrize("count", ["post_count", "tweet_count"])
async def test_trends_of_a_place(count: str) -> None:
    told = {"data": [{"trend_name": "#Rain", count: 0}, {"trend_name": "Köln"}]}
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        trends = (await insights.trends(x.caller, TOKEN, 667931, max_trends=50)).data
    assert [(trend.trend_name, trend.post_count) for trend in trends] == [("#Rain", 0), ("Köln", None)]
    assert path_of(peer) == "/2/trends/by/woeid/667931"
    assert query_of(peer.requests[0]) == {"max_trends": "50", "trend.fields": "trend_name,tweet_count"}


async def test_trends_of_an_account_are_words() -> None:
    # https://docs.x.com/x-api/x-api-v2/users/personalized-trends
    told = {"data": [{"trend_name": "a", "category": "Music", "post_count": "42K posts", "trending_since": "now"}]}
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        trend = (await insights.personalized_trends(x.caller, TOKEN)).data[0]
    assert (trend.post_count, trend.trending_since, trend.category) == ("42K posts", "now", "Music")
    assert path_of(peer) == "/2/users/personalized_trends"


@pytest.mark.parametrize(("count", "total"), [("post_count", "total_post_count"), ("tweet_count", "total_tweet_count")])
async def test_counts_come_by_spans_and_as_a_sum(count: str, total: str) -> None:
    span = {"start": "2026-11-22T09:00:00.000Z", "end": "2026-11-22T10:00:00.000Z", count: 3}
    told = {"data": [span], "meta": {total: 3, "next_token": "n3xt"}}
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        counts = await insights.post_counts(
            x.caller, TOKEN, 'rain "in Köln" -is:retweet', granularity="day", start_time=START, end_time=END
        )
    assert (counts.data[0].post_count, counts.data[0].end.hour) == (3, 10)
    assert counts.meta is not None
    assert (counts.meta.total_post_count, counts.meta.next_token) == (3, "n3xt")
    assert path_of(peer) == "/2/tweets/counts/recent"
    assert query_of(peer.requests[0]) == {
        "query": 'rain "in Köln" -is:retweet',
        "granularity": "day",
        "start_time": "2026-11-22T09:00:00Z",
        "end_time": "2026-11-23T09:00:01Z",
    }


async def test_analytics_of_posts_that_are_ones_own() -> None:
    metrics = {"impressions": 90, "url_clicks": 0, "likes": None}
    told = {
        "data": [{"id": "12", "timestamped_metrics": [{"timestamp": "2026-11-22T09:00:00Z", "metrics": metrics}]}],
        "errors": [{"resource_id": "11", "title": "Not Found"}],
    }
    async with Peer(always(answer(200, told))) as peer, a_client(peer.url) as x:
        told_of = await insights.post_analytics(
            x.caller, TOKEN, ["12", "11"], start_time=START, end_time=END, granularity="daily"
        )
    spans = told_of.data[0].timestamped_metrics
    assert spans is not None and spans[0].metrics is not None
    assert (spans[0].metrics.impressions, spans[0].metrics.url_clicks, spans[0].metrics.likes) == (90, 0, None)
    assert told_of.data[0].impressions is None
    assert [problem.resource_id for problem in told_of.errors] == ["11"]
    assert path_of(peer) == "/2/tweets/analytics"
    query = query_of(peer.requests[0])
    assert (query["ids"], query["granularity"]) == ("12,11", "daily")
    assert (query["start_time"], query["end_time"]) == ("2026-11-22T09:00:00Z", "2026-11-23T09:00:01Z")
    assert {"id", "impressions", "retweets", "timestamped_metrics"} <= set(query["analytics.fields"].split(","))


def every_call(x: XClient) -> list[Any]:
    return [
        insights.trends(x.caller, TOKEN, 1),
        insights.personalized_trends(x.caller, TOKEN),
        insights.post_counts(x.caller, TOKEN, "rain"),
        insights.post_analytics(x.caller, TOKEN, ["12"], start_time=START, end_time=END),
    ]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (answer(200, {}), NoAnswer),
        (answer(503, b""), NoAnswer),
        (answer(403, FORBIDDEN), Refused),
        (answer(200, {"data": [{"id": [TOKEN.get_secret_value()]}]}), NoAnswer),
    ],
)
async def test_nothing_counted_is_never_said_where_x_did_not_say_it(raw: bytes, kind: type[XError]) -> None:
    async with Peer(always(raw)) as peer, a_client(peer.url) as x:
        for ask in every_call(x):
            with pytest.raises(kind) as caught:
                await ask
            assert caught.value.retryable == (kind is NoAnswer)
            assert TOKEN.get_secret_value() not in everything_said_by(caught.value)


async def test_errors_alone_refuse_counts_and_answer_a_lookup_of_posts() -> None:
    async with Peer(always(answer(200, {"errors": [FORBIDDEN]}))) as peer, a_client(peer.url) as x:
        *counts, analytics = every_call(x)
        for ask in counts:
            with pytest.raises(Refused):
                await ask
        assert len((await analytics).errors) == 1
