"""The endpoints that make posts and take them away."""

from typing import Any

from deployments.x_sandbox.answers import PROBLEMS, Answer, invalid, not_found, ok, problem
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.drafts import BadDraft, Draft, draft
from deployments.x_sandbox.post_reads import READ
from deployments.x_sandbox.post_store import Post
from deployments.x_sandbox.settings import PriceName
from deployments.x_sandbox.state import Sandbox
from deployments.x_sandbox.texts import fits, has_link, shown
from deployments.x_sandbox.views import created

WRITE = READ | {"tweet.write"}

TOO_LONG = (
    "Your Tweet text is too long. For more information on how Twitter determines text length see "
    "https://github.com/twitter/twitter-text."
)


def create(sandbox: Sandbox, call: Call) -> Answer:
    """Accept a post: it is in the ledger before this returns."""
    access, account = call.caller
    try:
        made = draft(call.body, call.content_type)
    except BadDraft as bad:
        return invalid(bad.messages, sandbox.settings.new_names)
    now = sandbox.clock.now()
    if refusal := _refusal(sandbox, account.id, made, now):
        return refusal
    if poll := made.extras.get("poll"):
        poll["id"] = str(sandbox.ids.make(now))
    lowest, highest = sandbox.settings.visibility_lag_seconds
    lag = lowest if lowest == highest else sandbox.chance.uniform(lowest, highest)
    post_id = sandbox.ids.make(now)
    call.x_post_id = str(post_id)
    sandbox.record(
        "create",
        {
            "x_post_id": call.x_post_id,
            "text": made.text,
            **_price(sandbox, account.id, made),
            "accepted_at": iso(now),
            "visible_at": iso(now + lag),
            **call.trace(),
            **made.extras,
            **_mentions(sandbox, account.id, made),
            **_media_keys(sandbox, made),
        },
    )
    return ok({"data": created(sandbox.posts.by_id[post_id], sandbox.settings.new_names)}, status=201)


def delete(sandbox: Sandbox, call: Call) -> Answer:
    """Take away one of the caller's own posts."""
    _, account = call.caller
    post = sandbox.posts.find(call.path_id)
    if post is None:
        return not_found(call.path_id, "id", sandbox.settings.new_names)
    if post.account_id != account.id:
        return problem(403, "Forbidden", "You are not authorized to delete this Tweet.")
    call.x_post_id = call.path_id
    paid = _paid(sandbox, "post_delete")
    at = iso(sandbox.clock.now())
    sandbox.record("delete", {"x_post_id": call.path_id, "accepted_at": at, **paid, **call.trace()})
    return ok({"data": {"deleted": True}})


def _paid(sandbox: Sandbox, price: PriceName) -> dict[str, Any]:
    return {"price": price, "usd": sandbox.settings.prices_usd[price]}


def _price(sandbox: Sandbox, account_id: str, made: Draft) -> dict[str, Any]:
    """What a create costs: a link makes it dear, an answer to somebody who turned to the account makes it cheap."""
    if has_link(made.text):
        return _paid(sandbox, "post_create_with_url")
    parent = sandbox.posts.find(made.extras["in_reply_to"]) if "in_reply_to" in made.extras else None
    if parent and parent.account_id != account_id and _summoned(sandbox, account_id, parent):
        return _paid(sandbox, "post_create_summoned_reply")
    return _paid(sandbox, "post_create")


def _mentions(sandbox: Sandbox, account_id: str, made: Draft) -> dict[str, list[str]]:
    """Who hears of a post: the accounts that it names, and the author of what it replies to."""
    named = shown(made.text, 0).entities.get("mentions", []) if "@" in made.text or "＠" in made.text else []
    accounts = [sandbox.accounts.find(mark["username"]) for mark in named]
    parent = sandbox.posts.find(made.extras["in_reply_to"]) if "in_reply_to" in made.extras else None
    ids = dict.fromkeys([account.id for account in accounts if account] + ([parent.account_id] if parent else []))
    ids.pop(account_id, None)
    return {"mentioned": list(ids)} if ids else {}


def _media_keys(sandbox: Sandbox, made: Draft) -> dict[str, list[str]]:
    media_ids = made.extras.get("media_ids")
    return {"media_keys": [sandbox.media.by_id[media_id].key for media_id in media_ids]} if media_ids else {}


def _attachable(sandbox: Sandbox, account_id: str, media_ids: list[str], now: float) -> bool:
    """Whether the account may post these: its own or lent to it, ready, and one GIF or video or else pictures alone."""
    media = [sandbox.media.by_id.get(media_id) for media_id in media_ids]
    ready = all(
        each and account_id in each.owners and now < each.expires_at and each.state(now) == "succeeded"
        for each in media
    )
    pictures = all(each and each.category == "tweet_image" for each in media)
    return ready and len(set(media_ids)) == len(media_ids) and (pictures or len(media) == 1)


def _refusal(sandbox: Sandbox, account_id: str, made: Draft, now: float) -> Answer | None:
    new_names = sandbox.settings.new_names
    media_ids = made.extras.get("media_ids", [])
    if media_ids and not _attachable(sandbox, account_id, media_ids, now):
        return invalid([({"media.media_ids": media_ids}, "Your media IDs are invalid.")], new_names)
    if not made.text.strip() and not media_ids:
        return invalid([({}, "$.text: must be at least 1 characters long")], new_names)
    if made.text.strip() and not fits(made.text):
        return invalid([({}, TOO_LONG)], new_names)
    if "in_reply_to" in made.extras:
        parent = _visible(sandbox, made.extras["in_reply_to"], account_id)
        if parent is None:
            detail = "You attempted to reply to a Tweet that is deleted or not visible to you."
            return problem(403, "Forbidden", detail)
        if sandbox.settings.reply_gate and not _summoned(sandbox, account_id, parent):
            return PROBLEMS["reply-gate"]
    if "quoted" in made.extras and _visible(sandbox, made.extras["quoted"], account_id) is None:
        return invalid([({}, "$.quote_tweet_id: the Tweet is deleted or not visible to you.")], new_names)
    # X appends a link to the media before it compares, so the same words with a picture are another text.
    if sandbox.settings.duplicate_refusal and not media_ids:
        before = sandbox.posts.posted_at(account_id, made.text)
        if before is not None and now - before < sandbox.settings.duplicate_window_seconds:
            return PROBLEMS["duplicate"]
    return None


def _visible(sandbox: Sandbox, post_id: str, viewer_id: str) -> Post | None:
    post = sandbox.posts.find(post_id)
    return post if post and sandbox.accounts.by_id[post.account_id].shows_posts_to(viewer_id) else None


def _summoned(sandbox: Sandbox, account_id: str, parent: Post) -> bool:
    """Whether the author of the parent turned to the account first: a thread of one's own always may go on."""
    quoted = sandbox.posts.find(parent.extras["quoted"]) if "quoted" in parent.extras else None
    turned_to = {parent.account_id, *parent.extras.get("mentioned", ()), *([quoted.account_id] if quoted else ())}
    return account_id in turned_to


ENDPOINTS = [
    Endpoint("POST /2/tweets", create, WRITE),
    Endpoint("DELETE /2/tweets/{id}", delete, WRITE),
]
