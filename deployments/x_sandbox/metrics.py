"""How often a post was seen and liked: made up, but the same at every read, and only ever growing."""

import hashlib
import math

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
OLD_NAMES = {"repost_count": "retweet_count"}


def metrics(post: Post, posts: Posts, now: float, wanted: frozenset[str], new_names: bool) -> dict[str, dict[str, int]]:
    """The metrics of a post that are wanted; replies and quotes are those that this X really has."""
    views = _views(post, now)
    public = {name: _part(post, name, most, views) for name, most in SHARES_MOST.items()}
    public |= {"impression_count": views, "reply_count": posts.replies[post.id], "quote_count": posts.quotes[post.id]}
    clicks = {name: _part(post, name, most, views) for name, most in CLICKS_MOST.items()}
    if "urls" not in post.shown.entities:
        del clicks["url_link_clicks"]
    engagements = sum(clicks.values()) + sum(count for name, count in public.items() if name != "impression_count")
    organic = {name: public[name] for name in ("impression_count", "like_count", "reply_count", "repost_count")}
    known = {
        "public_metrics": public,
        "non_public_metrics": {"impression_count": views, "engagements": engagements, **clicks},
        "organic_metrics": {**organic, **clicks},
    }
    return {name: _named(counts, new_names) for name, counts in known.items() if name in wanted}


def _views(post: Post, now: float) -> int:
    powers = VIEWS_POWERS_BY_POST * _chance(f"{post.id}") + VIEWS_POWERS_BY_AUTHOR * _chance(post.account_id)
    age = max(0.0, now - made_at(post.id))
    return int(VIEWS_LEAST * 10**powers * (1 - math.exp(-age / GROWTH_SECONDS)))


def _part(post: Post, what: str, most: float, views: int) -> int:
    return int(views * most * _chance(f"{post.id} {what}"))


def _chance(seed: str) -> float:
    """A number from 0 to 1 that follows from its seed, so that a restart changes no metric."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") / 2**32


def _named(counts: dict[str, int], new_names: bool) -> dict[str, int]:
    return counts if new_names else {OLD_NAMES.get(name, name): count for name, count in counts.items()}
