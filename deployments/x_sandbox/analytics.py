"""What became of one's own posts, in all or span by span; the figures are those of their metrics."""

from itertools import pairwise
from typing import Any

from deployments.x_sandbox.answers import Answer, missing, not_for_you, ok
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.clock import made_at, x_time
from deployments.x_sandbox.metrics import clicks_at, engagements, part, public_at
from deployments.x_sandbox.post_reads import READ
from deployments.x_sandbox.post_store import Post, Posts
from deployments.x_sandbox.queries import ID, BadQuery, Query
from deployments.x_sandbox.state import Sandbox

SPAN_SECONDS = {"hourly": 3_600, "daily": 86_400, "weekly": 7 * 86_400, "total": 0}
SPANS_MOST = 1_000
"""Of one post in one answer; X names no bound, but this X must not stand still over one question."""
COUNTS = frozenset(
    "app_install_attempts app_opens bookmarks detail_expands email_tweet engagements follows hashtag_clicks "
    "impressions likes media_views permalink_clicks quote_tweets replies retweets shares unfollows unlikes url_clicks "
    "user_profile_clicks".split()
)
FIELDS = COUNTS | {"id", "timestamp", "timestamped_metrics"}
"""`timestamp` is accepted and stays empty, for the spans have timestamps of their own."""
SHARES_MOST = {"detail_expands": 0.06, "permalink_clicks": 0.01, "shares": 0.004, "follows": 0.001}
SHARES_OF_TAGGED, SHARES_OF_MEDIA = 0.02, 0.6


def own(sandbox: Sandbox, call: Call) -> Answer:
    """Figures on up to 100 posts of the caller; those of others are errors."""
    _, account = call.caller
    query = Query.of(call.query, sandbox.settings.new_names)
    ids = query.values_of("ids", ID)
    fields = query.names("analytics.fields", FIELDS) or FIELDS
    seconds = SPAN_SECONDS[query.one_of("granularity", "total", SPAN_SECONDS)]
    begin, end = query.time("start_time"), query.time("end_time")
    if not query.wrong and begin >= end:
        query.refuse("end_time", "'end_time' must be after 'start_time'")
    if seconds and (end - begin) / seconds > SPANS_MOST:
        query.refuse("granularity", f"This sandbox answers at most {SPANS_MOST} spans of a post.")
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    new_names, now = sandbox.settings.new_names, sandbox.clock.now()
    data, errors = [], []
    for post_id in ids:
        post = sandbox.posts.find(post_id)
        if post is None:
            errors.append(missing(post_id, "ids", new_names))
        elif post.account_id != account.id:
            errors.append(not_for_you(post_id, "ids", new_names))
        else:
            edges = _edges(post, begin, min(end, now), seconds)
            data.append(_view(post, sandbox.posts, fields, edges, spanned=seconds > 0))
    call.bought = ("analytics_read", [str(each["id"]) for each in data]) if data else None
    return ok({name: value for name, value in (("data", data), ("errors", errors)) if value})


def _edges(post: Post, begin: float, end: float, seconds: int) -> list[float]:
    """Where the spans begin, and where the last one ends; there is none before the post."""
    begin = max(begin, made_at(post.id))
    if not seconds:
        return [begin, max(begin, end)]
    edges = [begin - begin % seconds]
    while edges[-1] < end:
        edges.append(edges[-1] + seconds)
    return edges


def _view(post: Post, posts: Posts, fields: frozenset[str], edges: list[float], spanned: bool) -> dict[str, Any]:
    wanted = fields & COUNTS or COUNTS
    spans = [
        (start, {name: count for name, count in _gained(post, posts, start, end).items() if name in wanted})
        for start, end in pairwise(edges)
    ]
    if not spanned:
        return {"id": str(post.id), **spans[0][1]}
    return {
        "id": str(post.id),
        "timestamped_metrics": [{"timestamp": x_time(start), "metrics": counts} for start, counts in spans],
    }


def _gained(post: Post, posts: Posts, start: float, end: float) -> dict[str, int]:
    before, after = _until(post, posts, start), _until(post, posts, end)
    return {name: after[name] - before[name] for name in after}


def _until(post: Post, posts: Posts, at: float) -> dict[str, int]:
    """Every figure since the post was made; nobody installs apps, writes mails or takes back a like here."""
    public, clicks = public_at(post, posts, at), clicks_at(post, at)
    views = public["impression_count"]
    tagged = SHARES_OF_TAGGED if "hashtags" in post.shown.entities else 0.0
    media = SHARES_OF_MEDIA if "media_keys" in post.extras else 0.0
    return {
        **dict.fromkeys(COUNTS, 0),
        **{name: part(post, name, most, views) for name, most in SHARES_MOST.items()},
        "bookmarks": public["bookmark_count"],
        "engagements": engagements(public, clicks),
        "hashtag_clicks": part(post, "hashtag_clicks", tagged, views),
        "impressions": views,
        "likes": public["like_count"],
        "media_views": part(post, "media_views", media, views),
        "quote_tweets": public["quote_count"],
        "replies": public["reply_count"],
        "retweets": public["repost_count"],
        "url_clicks": clicks.get("url_link_clicks", 0),
        "user_profile_clicks": clicks["user_profile_clicks"],
    }


ENDPOINTS = [Endpoint("GET /2/tweets/analytics", own, READ)]
