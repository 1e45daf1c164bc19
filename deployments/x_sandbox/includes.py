"""Posts with what was asked for around them: their own fields, and under `includes` what they refer to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deployments.x_sandbox.accounts import Account
from deployments.x_sandbox.answers import missing, not_for_you, not_this_field
from deployments.x_sandbox.clock import made_at
from deployments.x_sandbox.metrics import PRIVATE, PRIVATE_SECONDS, metrics, of_account
from deployments.x_sandbox.post_store import Post
from deployments.x_sandbox.queries import (
    MEDIA_FIELDS,
    PLACE_FIELDS,
    POLL_FIELDS,
    POST_EXPANSIONS,
    POST_FIELDS,
    USER_FIELDS,
    Query,
)
from deployments.x_sandbox.state import Sandbox
from deployments.x_sandbox.views import media_view, poll_view, post_view, user_view

SHOWN_BY_EXPANSION = {
    "referenced_posts": "referenced_tweets",
    "referenced_tweets.id": "referenced_tweets",
    "referenced_tweets.id.author_id": "referenced_tweets",
    "attachments.media_keys": "attachments",
    "attachments.poll_ids": "attachments",
    "author_id": "author_id",
    "in_reply_to_user_id": "in_reply_to_user_id",
    "entities.mentions.username": "entities",
}
"""The field that holds the ids of an expansion; X shows it without being asked for it a second time."""

REFERENCES = frozenset({"referenced_posts", "referenced_tweets.id", "referenced_tweets.id.author_id"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one read of posts asks for beside the posts, and who asks."""

    fields: frozenset[str]
    user_fields: frozenset[str]
    media_fields: frozenset[str]
    poll_fields: frozenset[str]
    expansions: frozenset[str]
    new_names: bool
    viewer_id: str | None

    @classmethod
    def of(cls, query: Query, viewer: Account | None) -> "Wanted":
        """Read a query's fields and expansions; what is wrong with them stays with the query."""
        query.names("place.fields", PLACE_FIELDS)  # checked and without effect: this X has no places
        expansions = query.names("expansions", POST_EXPANSIONS)
        shown = {SHOWN_BY_EXPANSION[name] for name in expansions & SHOWN_BY_EXPANSION.keys()}
        return cls(
            fields=query.fields("tweet.fields", "post.fields", among=POST_FIELDS) | shown,
            user_fields=query.fields("user.fields", among=USER_FIELDS),
            media_fields=query.fields("media.fields", among=MEDIA_FIELDS),
            poll_fields=query.fields("poll.fields", among=POLL_FIELDS),
            expansions=expansions,
            new_names=query.new_names,
            viewer_id=viewer.id if viewer else None,
        )


def content(sandbox: Sandbox, posts: list[Post], wanted: Wanted) -> dict[str, Any]:
    """`data`, `includes` and `errors` of an answer that holds these posts; a part with nothing in it is absent."""
    now = sandbox.clock.now()
    private = wanted.fields & PRIVATE
    hidden = [
        not_this_field(str(post.id), "ids", name, wanted.new_names)
        for post in posts
        for name in sorted(private - _metrics_for(post, wanted, now))
    ]
    referenced, errors = _referenced(sandbox, posts, wanted) if wanted.expansions & REFERENCES else ([], [])
    parts = {
        "data": [_post(sandbox, post, wanted, now) for post in posts],
        "includes": _includes(sandbox, posts, referenced, wanted),
        "errors": errors + hidden,
    }
    return {name: part for name, part in parts.items() if part}


def _post(sandbox: Sandbox, post: Post, wanted: Wanted, now: float) -> dict[str, Any]:
    view = post_view(post, sandbox.posts, wanted.fields, wanted.new_names)
    if names := _metrics_for(post, wanted, now):
        view |= metrics(post, sandbox.posts, now, names, wanted.new_names)
    return view


def _metrics_for(post: Post, wanted: Wanted, now: float) -> frozenset[str]:
    """Which of the wanted metrics the caller may see."""
    own = post.account_id == wanted.viewer_id and now - made_at(post.id) <= PRIVATE_SECONDS
    return wanted.fields & (PRIVATE | {"public_metrics"} if own else {"public_metrics"})


def shown_user(sandbox: Sandbox, account: Account, fields: frozenset[str], new_names: bool) -> dict[str, Any]:
    """An account with the fields that were asked for, its counts among them."""
    view = user_view(account, fields)
    if "public_metrics" in fields:
        view["public_metrics"] = of_account(account, sandbox.posts, sandbox.clock.now(), new_names)
    return view


def look_up(
    sandbox: Sandbox, ids: Iterable[str], parameter: str, wanted: Wanted
) -> tuple[list[Post], list[dict[str, Any]]]:
    """The posts of these ids that the caller may see, and an error for each of the others."""
    posts: list[Post] = []
    errors: list[dict[str, Any]] = []
    for post_id in ids:
        post = sandbox.posts.find(post_id)
        if post is None:
            errors.append(missing(post_id, parameter, wanted.new_names))
        elif sandbox.accounts.by_id[post.account_id].shows_posts_to(wanted.viewer_id):
            posts.append(post)
        else:
            errors.append(not_for_you(post_id, parameter, wanted.new_names))
    return posts, errors


def _referenced(sandbox: Sandbox, posts: list[Post], wanted: Wanted) -> tuple[list[Post], list[dict[str, Any]]]:
    """What the posts reply to and quote, each once."""
    ids = dict.fromkeys(
        post.extras[name] for post in posts for name in ("quoted", "in_reply_to") if name in post.extras
    )
    return look_up(sandbox, ids, "referenced_posts" if wanted.new_names else "referenced_tweets.id", wanted)


def _includes(sandbox: Sandbox, posts: list[Post], referenced: list[Post], wanted: Wanted) -> dict[str, Any]:
    users = dict.fromkeys(_user_ids(sandbox, posts, referenced, wanted))
    includes = {
        "users": [
            shown_user(sandbox, sandbox.accounts.by_id[user_id], wanted.user_fields, wanted.new_names)
            for user_id in users
        ],
        "posts" if wanted.new_names else "tweets": [
            _post(sandbox, post, wanted, sandbox.clock.now()) for post in referenced
        ],
        "media": _media(sandbox, posts, wanted) if "attachments.media_keys" in wanted.expansions else [],
        "polls": _polls(sandbox, posts, wanted) if "attachments.poll_ids" in wanted.expansions else [],
    }
    return {name: part for name, part in includes.items() if part}


def _media(sandbox: Sandbox, posts: list[Post], wanted: Wanted) -> list[dict[str, Any]]:
    keys = dict.fromkeys(key for post in posts for key in post.extras.get("media_keys", ()))
    return [media_view(sandbox.media.of_key(key), wanted.media_fields) for key in keys]


def _polls(sandbox: Sandbox, posts: list[Post], wanted: Wanted) -> list[dict[str, Any]]:
    now = sandbox.clock.now()
    return [poll_view(post, wanted.poll_fields, now) for post in posts if "poll" in post.extras]


def _user_ids(sandbox: Sandbox, posts: list[Post], referenced: list[Post], wanted: Wanted) -> Iterable[str]:
    if "author_id" in wanted.expansions:
        yield from (post.account_id for post in posts)
    # The newer names have no second level, so there the one word speaks for both levels.
    both_levels = wanted.new_names and "author_id" in wanted.expansions
    if both_levels or "referenced_tweets.id.author_id" in wanted.expansions:
        yield from (post.account_id for post in referenced)
    if "in_reply_to_user_id" in wanted.expansions:
        parents = (sandbox.posts.find(post.extras["in_reply_to"]) for post in posts if "in_reply_to" in post.extras)
        yield from (parent.account_id for parent in parents if parent)
    if "entities.mentions.username" in wanted.expansions:
        marks = (mark for post in posts for mark in post.shown.entities.get("mentions", ()))
        mentioned = (sandbox.accounts.find(mark["username"]) for mark in marks)
        yield from (account.id for account in mentioned if account)
