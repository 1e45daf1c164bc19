"""What X counts: trends, how much is said about something, and what became of one's own posts.

Trends are for people to look at; nothing here puts them into posts. Source: X API v2, OpenAPI document 2.167.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Literal

from pydantic import AliasChoices, AwareDatetime, Field

from blocks.x.answers import Answer, ask
from blocks.x.calls import Call, Caller
from blocks.x.instants import second_after, second_before
from blocks.x.signing import Authorization
from blocks.x.wire import (
    Envelope,
    Id,
    Lookup,
    PostNonPublicMetrics,
    PostOrganicMetrics,
    PostPublicMetrics,
    Said,
    UserPublicMetrics,
)


class Trend(Said):
    """A trend of a place; schema Trend. The count may be missing."""

    trend_name: str
    post_count: int | None = Field(None, validation_alias=AliasChoices("post_count", "tweet_count"))


class PersonalizedTrend(Said):
    """A trend as X picks it for an account; schema PersonalizedTrend.

    Both other facts are words for people, such as "42K posts" and "5 hours ago".
    """

    trend_name: str
    category: str | None = None
    post_count: str | None = None
    trending_since: str | None = None


class PostCount(Said):
    """How many posts matched from `start` to before `end`; schema GetPostsCountsRecentResponseData."""

    start: AwareDatetime
    end: AwareDatetime
    post_count: int = Field(validation_alias=AliasChoices("post_count", "tweet_count"))


class Engagements(Said):
    """What people did with a post; schema Analytics."""

    app_install_attempts: int | None = None
    app_opens: int | None = None
    bookmarks: int | None = None
    detail_expands: int | None = None
    email_tweet: int | None = None
    engagements: int | None = None
    follows: int | None = None
    hashtag_clicks: int | None = None
    impressions: int | None = None
    likes: int | None = None
    media_views: int | None = None
    permalink_clicks: int | None = None
    quote_tweets: int | None = None
    replies: int | None = None
    retweets: int | None = None
    shares: int | None = None
    unfollows: int | None = None
    unlikes: int | None = None
    url_clicks: int | None = None
    user_profile_clicks: int | None = None


class TimestampedEngagements(Said):
    """What people did in the span that begins at `timestamp`; schema AnalyticsTimestampedMetrics."""

    timestamp: AwareDatetime | None = None
    metrics: Engagements | None = None


class PostAnalytics(Engagements):
    """What became of a post: in all, or span by span where a granularity was asked for; schema Analytics."""

    id: Id
    timestamp: str | None = None
    timestamped_metrics: list[TimestampedEngagements] | None = None


class MeasuredPost(Said):
    """A post with its counts alone; schema Post."""

    id: Id
    public_metrics: PostPublicMetrics | None = None
    non_public_metrics: PostNonPublicMetrics | None = None
    organic_metrics: PostOrganicMetrics | None = None


class MeasuredUser(Said):
    """An account with its counts alone; schema User."""

    id: Id
    protected: bool | None = None
    public_metrics: UserPublicMetrics | None = None


_ANALYTICS_FIELDS = ",".join(PostAnalytics.model_fields)


async def trends(
    at: Caller,
    authorization: Authorization,
    woeid: int,
    *,
    max_trends: int = 20,
    deadline_seconds: float | None = None,
) -> Answer[list[Trend]]:
    """Trends (1 to 50) of the place with this Where On Earth id; 1 is the world. X takes no OAuth 1.0a here."""
    params = {"max_trends": str(max_trends), "trend.fields": "trend_name,tweet_count"}
    call = Call("GET", at.url(f"/2/trends/by/woeid/{woeid}", params), repeatable=True, authorization=authorization)
    return await ask(at, call, Envelope[list[Trend]], deadline_seconds=deadline_seconds)


async def personalized_trends(
    at: Caller, authorization: Authorization, *, deadline_seconds: float | None = None
) -> Answer[list[PersonalizedTrend]]:
    """Trends that X picks for the account that asks, which has to be subscribed to X Premium."""
    params = {"personalized_trend.fields": "category,post_count,trend_name,trending_since"}
    call = Call("GET", at.url("/2/users/personalized_trends", params), repeatable=True, authorization=authorization)
    return await ask(at, call, Envelope[list[PersonalizedTrend]], deadline_seconds=deadline_seconds)


async def post_counts(
    at: Caller,
    authorization: Authorization,
    query: str,
    *,
    granularity: Literal["minute", "hour", "day"] = "hour",
    since_id: str | None = None,
    until_id: str | None = None,
    start_time: datetime | None = None,
    end_time: datetime | None = None,
    next_token: str | None = None,
    deadline_seconds: float | None = None,
) -> Answer[list[PostCount]]:
    """How many posts of the last 7 days match a search, by spans; `meta.total_post_count` is their sum.

    Times are widened to whole seconds.
    """
    wanted = {
        "query": query,
        "granularity": granularity,
        "since_id": since_id,
        "until_id": until_id,
        "start_time": None if start_time is None else second_before(start_time),
        "end_time": None if end_time is None else second_after(end_time),
        "next_token": next_token,
    }
    params = {name: value for name, value in wanted.items() if value is not None}
    call = Call("GET", at.url("/2/tweets/counts/recent", params), repeatable=True, authorization=authorization)
    return await ask(at, call, Envelope[list[PostCount]], deadline_seconds=deadline_seconds)


async def post_analytics(
    at: Caller,
    authorization: Authorization,
    ids: Collection[str],
    *,
    start_time: datetime,
    end_time: datetime,
    granularity: Literal["hourly", "daily", "weekly", "total"] = "total",
    deadline_seconds: float | None = None,
) -> Answer[list[PostAnalytics]]:
    """What became of 1 to 100 posts of one's own; those that X says nothing of stand in `errors`.

    Times are widened to whole seconds.
    """
    params = {
        "ids": ",".join(ids),
        "start_time": second_before(start_time),
        "end_time": second_after(end_time),
        "granularity": granularity,
        "analytics.fields": _ANALYTICS_FIELDS,
    }
    call = Call("GET", at.url("/2/tweets/analytics", params), repeatable=True, authorization=authorization)
    return await ask(at, call, Lookup[PostAnalytics], deadline_seconds=deadline_seconds)


async def post_metrics(
    at: Caller, authorization: Authorization, ids: Collection[str], *, private: bool
) -> Answer[list[MeasuredPost]]:
    """Counts of 1 to 100 posts; those that cannot be had stand in `errors`.

    `private` asks for what X gives the author alone, for 30 days; of another's post it names each field it withholds.
    """
    wanted = "public_metrics,non_public_metrics,organic_metrics" if private else "public_metrics"
    params = {"ids": ",".join(ids), "post.fields": wanted}
    call = Call("GET", at.url("/2/tweets", params), repeatable=True, authorization=authorization)
    return await ask(at, call, Lookup[MeasuredPost])


async def user_metrics(at: Caller, authorization: Authorization, ids: Collection[str]) -> Answer[list[MeasuredUser]]:
    """Counts of 1 to 100 accounts; those that cannot be had stand in `errors`."""
    params = {"ids": ",".join(ids), "user.fields": "protected,public_metrics"}
    call = Call("GET", at.url("/2/users", params), repeatable=True, authorization=authorization)
    return await ask(at, call, Lookup[MeasuredUser])
