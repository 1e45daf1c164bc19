"""Posts and accounts as X gives them out, in either generation of its names."""

from typing import Any

from deployments.x_sandbox.accounts import Account
from deployments.x_sandbox.clock import made_at, x_time
from deployments.x_sandbox.media_store import SHOWN_TYPES, Media
from deployments.x_sandbox.post_store import Post, Posts

NEW_NAMES = {"edit_history_tweet_ids": "edit_history_post_ids", "referenced_tweets": "referenced_posts"}
OLD_NAMES = {new: old for old, new in NEW_NAMES.items()}
EDIT_SECONDS = 3_600


def created(post: Post, new_names: bool) -> dict[str, Any]:
    """The answer to a create."""
    history = "edit_history_post_ids" if new_names else "edit_history_tweet_ids"
    return {"id": str(post.id), "text": post.shown.text, history: [str(post.id)]}


def post_view(post: Post, posts: Posts, fields: frozenset[str], new_names: bool) -> dict[str, Any]:
    """A post with its default fields and those that were asked for; what X does not know of it is absent."""
    wanted = {OLD_NAMES.get(name, name) for name in fields} | {"id", "text", "edit_history_tweet_ids"}
    parent = posts.by_id.get(int(post.extras.get("in_reply_to", 0)))
    references = [
        {"type": kind, "id": post.extras[name]}
        for kind, name in (("quoted", "quoted"), ("replied_to", "in_reply_to"))
        if name in post.extras
    ]
    made = made_at(post.id)
    known = {
        "id": str(post.id),
        "text": post.shown.text,
        "edit_history_tweet_ids": [str(post.id)],
        "author_id": post.account_id,
        "created_at": x_time(made),
        "conversation_id": str(post.conversation_id),
        "attachments": _attachments(post),
        "in_reply_to_user_id": parent.account_id if parent else None,
        "referenced_tweets": references or None,
        "reply_settings": post.extras.get("reply_settings", "everyone"),
        "entities": post.shown.entities or None,
        "display_text_range": [0, len(post.shown.text)],
        "edit_controls": {
            "edits_remaining": 5,
            "is_edit_eligible": not references,
            "editable_until": x_time(made + EDIT_SECONDS),
        },
        "paid_partnership": post.extras.get("paid_partnership", False),
        "possibly_sensitive": False,
    }
    view = {name: value for name, value in known.items() if name in wanted and value is not None}
    return {NEW_NAMES.get(name, name): value for name, value in view.items()} if new_names else view


def _attachments(post: Post) -> dict[str, list[str]] | None:
    if "poll" in post.extras:
        return {"poll_ids": [post.extras["poll"]["id"]]}
    return {"media_keys": post.extras["media_keys"]} if "media_keys" in post.extras else None


def media_view(media: Media, fields: frozenset[str]) -> dict[str, Any]:
    """An upload as a post shows it; nothing lies under its addresses, for this X keeps no bytes."""
    file = f"https://pbs.twimg.com/media/{media.key}"
    known = {
        "media_key": media.key,
        "type": SHOWN_TYPES[media.category],
        "url": file if media.category == "tweet_image" else None,
        "preview_image_url": None if media.category == "tweet_image" else file,
        "alt_text": media.alt_text,
    }
    wanted = fields | {"media_key", "type"}
    return {name: value for name, value in known.items() if name in wanted and value is not None}


def poll_view(post: Post, fields: frozenset[str], now: float) -> dict[str, Any]:
    """The poll of a post that has one; nobody votes on this X."""
    poll = post.extras["poll"]
    ends_at = made_at(post.id) + 60 * poll["duration_minutes"]
    known = {
        "id": poll["id"],
        "options": [
            {"position": position, "label": label, "votes": 0} for position, label in enumerate(poll["options"], 1)
        ],
        "duration_minutes": poll["duration_minutes"],
        "end_datetime": x_time(ends_at),
        "voting_status": "open" if now < ends_at else "closed",
    }
    return {name: value for name, value in known.items() if name in fields | {"id", "options"}}


def user_view(account: Account, fields: frozenset[str]) -> dict[str, Any]:
    """An account with its default fields and those that were asked for."""
    known = {
        "id": account.id,
        "name": account.name,
        "username": account.username,
        "description": account.description,
        "created_at": x_time(account.created_at),
        "protected": account.protected,
        "verified": False,
    }
    return {name: value for name, value in known.items() if name in fields | {"id", "name", "username"}}
