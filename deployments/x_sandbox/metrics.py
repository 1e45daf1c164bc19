"""How often a post was seen and liked: made up, but the same at every read, and only ever growing."""

import hashlib
import math

from deployments.x_sandbox.accounts import Account
from deployments.x_sandbox.clock import made_at
from deployments.x_sandbox.post_store import Post, Posts

PRIVATE = frozenset({"non_public_metrics", "organic_metrics"})
PRIVATE_SECONDS = 30 * 86_400
"""X gives the private ones to the author alone, and for this long."""
GROWTH_SECONDS = 6 * 3_600
"""After this time a post has had about two thirds of its views."""
VIEWS_LEAST = 20
VIEWS_POWERS_BY_POST, VIEWS_POWERS_BY_AUTHOR = 1.5, 1.0
"""Powers of ten between a dull and a lucky post, and between a small and a large account."""
SHARES_MOST = {"like_count": 0.04, "repost_count": 0.01, "bookmark_count": 0.005}
CLICKS_MOST = {"user_profile_clicks": 0.02, "url_link_clicks": 0.03}
OLD_NAMES = {"repost_count": "retweet_count", "post_count": "tweet_count"}
FOLLOWERS_LEAST, FOLLOWERS_POWERS = 50, 2.0
FOLLOWERS_A_DAY_MOST = 0.01
"""How many followers an account begins with, and the share of them by which it grows in a day."""


def metrics(post: Post, posts: Posts, now: float, wanted: frozenset[str], new_names: bool) -> dict[str, dict[str, int]]:
    """The metrics of a post that are wanted; replies and quotes are those that this X really has."""
    public, clicks = public_at(post, posts, now), clicks_at(post, now)
    organic = {name: public[name] for name in ("impression_count", "like_count", "reply_count", "repost_count")}
    known = {
        "public_metrics": public,
        "non_public_metrics": {
            "impression_count": public["impression_count"],
            "engagements": engagements(public, clicks),
            **clicks,
        },
        "organic_metrics": {**organic, **clicks},
    }
    return {name: _named(counts, new_names) for name, counts in known.items() if name in wanted}


def public_at(post: Post, posts: Posts, at: float) -> dict[str, int]:
    """What everybody sees of a post, as it stood at an instant, by X's newer names."""
    views = _views(post, at)
    shares = {name: part(post, name, most, views) for name, most in SHARES_MOST.items()}
    return {
        **shares,
        "impression_count": views,
        "reply_count": posts.replies(post.id, at),
        "quote_count": posts.quotes(post.id, at),
    }


def clicks_at(post: Post, at: float) -> dict[str, int]:
    """Clicks on a post by an instant; on its links only if it has any."""
    views = _views(post, at)
    clicks = {name: part(post, name, most, views) for name, most in CLICKS_MOST.items()}
    if "urls" not in post.shown.entities:
        del clicks["url_link_clicks"]
    return clicks


def engagements(public: dict[str, int], clicks: dict[str, int]) -> int:
    """Everything that people did beside looking."""
    return sum(clicks.values()) + sum(count for name, count in public.items() if name != "impression_count")


def of_account(account: Account, posts: Posts, now: float, new_names: bool) -> dict[str, int]:
    """What everybody sees of an account: followers made up like views, posts as there are, the rest of nobody."""
    first = FOLLOWERS_LEAST * 10 ** (FOLLOWERS_POWERS * chance(account.id))
    days = max(0.0, now - account.created_at) / 86_400
    counts = {
        "followers_count": int(first * (1 + days * FOLLOWERS_A_DAY_MOST * chance(f"{account.id} growth"))),
        "following_count": 0,
        "listed_count": int(first * 0.01),
        "like_count": 0,
        "post_count": posts.count_of(account.id),
    }
    return _named(counts, new_names)


def _views(post: Post, now: float) -> int:
    powers = VIEWS_POWERS_BY_POST * chance(f"{post.id}") + VIEWS_POWERS_BY_AUTHOR * chance(post.account_id)
    age = max(0.0, now - made_at(post.id))
    return int(VIEWS_LEAST * 10**powers * (1 - math.exp(-age / GROWTH_SECONDS)))


def part(post: Post, what: str, most: float, views: int) -> int:
    """How many of those who saw a post did this: a share up to `most` that is the post's own."""
    return int(views * most * chance(f"{post.id} {what}"))


def chance(seed: str) -> float:
    """A number from 0 to 1 that follows from its seed, so that a restart changes no metric."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") / 2**32


def _named(counts: dict[str, int], new_names: bool) -> dict[str, int]:
    return counts if new_names else {OLD_NAMES.get(name, name): count for name, count in counts.items()}
