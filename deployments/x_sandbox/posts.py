"""The endpoints on posts: create, delete, look up, timeline."""

from typing import Any

from deployments.x_sandbox.answers import PROBLEMS, Answer, invalid, ok, problem, problem_type
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.drafts import BadDraft, Draft, draft
from deployments.x_sandbox.faults import CHANCE
from deployments.x_sandbox.post_store import Post
from deployments.x_sandbox.queries import ID, POST_FIELDS, USER_FIELDS, BadQuery, Query, page_token
from deployments.x_sandbox.state import Sandbox
from deployments.x_sandbox.texts import fits
from deployments.x_sandbox.views import created, post_view, user_view

IDS_MAX = 100
PAGE_LEAST, PAGE_DEFAULT, PAGE_MOST = 5, 10, 100
ID_MAX = 2**63

READ = frozenset({"tweet.read", "users.read"})
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
    lowest, highest = sandbox.settings.visibility_lag_seconds
    lag = lowest if lowest == highest else CHANCE.uniform(lowest, highest)
    post_id = sandbox.ids.make(now)
    call.x_post_id = str(post_id)
    sandbox.record(
        "create",
        {
            "x_post_id": call.x_post_id,
            "text": made.text,
            "accepted_at": iso(now),
            "visible_at": iso(now + lag),
            **call.trace(),
            **made.extras,
        },
    )
    return ok({"data": created(sandbox.posts.by_id[post_id], sandbox.settings.new_names)}, status=201)


def delete(sandbox: Sandbox, call: Call) -> Answer:
    """Take away one of the caller's own posts."""
    _, account = call.caller
    post = _post(sandbox, call.path_id)
    if post is None:
        return _not_found(call.path_id, "id", sandbox.settings.new_names, status=404)
    if post.account_id != account.id:
        return problem(403, "Forbidden", "You are not authorized to delete this Tweet.")
    call.x_post_id = call.path_id
    sandbox.record("delete", {"x_post_id": call.path_id, "accepted_at": iso(sandbox.clock.now()), **call.trace()})
    return ok({"data": {"deleted": True}})


def lookup(sandbox: Sandbox, call: Call) -> Answer:
    """Up to 100 posts by id; data and errors may stand side by side."""
    query = Query.of(call.query)
    ids = query.values.get("ids", "").split(",")
    fields = query.fields("tweet.fields", "post.fields", among=POST_FIELDS)
    user_fields = query.fields("user.fields", among=USER_FIELDS)
    expansions = query.names("expansions")
    if len(ids) > IDS_MAX or not all(map(ID.fullmatch, ids)):
        query.wrong.append(({"ids": ids}, f"The `ids` query parameter needs 1 to {IDS_MAX} ids of ^[0-9]{{1,19}}$"))
    try:
        query.check("ids")
    except BadQuery as bad:
        return bad.answer
    new_names = query.new_names or sandbox.settings.new_names
    found = {post_id: post for post_id in ids if (post := _post(sandbox, post_id))}
    content: dict[str, Any] = {}
    if found:
        content["data"] = [post_view(post, sandbox.posts, fields, new_names) for post in found.values()]
        content |= _includes(sandbox, list(found.values()), expansions, user_fields)
    if missing := [post_id for post_id in ids if post_id not in found]:
        content["errors"] = [_missing(post_id, "ids", new_names) for post_id in missing]
    return ok(content)


def timeline(sandbox: Sandbox, call: Call) -> Answer:
    """One account's visible posts, newest first, in pages."""
    query = Query.of(call.query)
    size = query.whole("max_results", PAGE_DEFAULT, PAGE_LEAST, PAGE_MOST)
    above = max(query.id("since_id", 0), query.time_as_id("start_time", 0) - 1)
    below = min(query.id("until_id", ID_MAX), query.time_as_id("end_time", ID_MAX))
    page = query.page()
    without = query.names("exclude", frozenset({"replies", "retweets"}))
    fields = query.fields("tweet.fields", "post.fields", among=POST_FIELDS)
    user_fields = query.fields("user.fields", among=USER_FIELDS)
    expansions = query.names("expansions")
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    if call.path_id not in sandbox.accounts.by_id:
        return _not_found(call.path_id, "id", sandbox.settings.new_names, status=200, kind="user")
    new_names = query.new_names or sandbox.settings.new_names
    posts = sandbox.posts.between(call.path_id, above, below, sandbox.clock.now())
    if "replies" in without:
        posts = [post for post in posts if "in_reply_to" not in post.extras]
    shown, meta = _page(posts, size, page)
    content: dict[str, Any] = {"meta": meta}
    if shown:
        content["data"] = [post_view(post, sandbox.posts, fields, new_names) for post in shown]
        content |= _includes(sandbox, shown, expansions, user_fields)
    return ok(content)


def _refusal(sandbox: Sandbox, account_id: str, made: Draft, now: float) -> Answer | None:
    new_names = sandbox.settings.new_names
    if not made.text.strip():
        return invalid([({}, "$.text: must be at least 1 characters long")], new_names)
    if not fits(made.text):
        return invalid([({}, TOO_LONG)], new_names)
    if "in_reply_to" in made.extras and _post(sandbox, made.extras["in_reply_to"]) is None:
        detail = "You attempted to reply to a Tweet that is deleted or not visible to you."
        return problem(403, "Forbidden", detail)
    if "quoted" in made.extras and _post(sandbox, made.extras["quoted"]) is None:
        return invalid([({}, "$.quote_tweet_id: the Tweet is deleted or not visible to you.")], new_names)
    if sandbox.settings.duplicate_refusal:
        before = sandbox.posts.posted_at(account_id, made.text)
        if before is not None and now - before < sandbox.settings.duplicate_window_seconds:
            return PROBLEMS["duplicate"]
    return None


def _page(posts: list[Post], size: int, page: tuple[str, int] | None) -> tuple[list[Post], dict[str, Any]]:
    """Cut one page out of posts that come oldest first; it is given newest first."""
    edge = page[1] if page else ID_MAX
    if page and page[0] == "newer":
        shown = [post for post in posts if post.id > edge][:size]
    else:
        shown = [post for post in posts if post.id < edge][-size:]
    if not shown:
        return [], {"result_count": 0}
    oldest, newest = shown[0], shown[-1]
    meta: dict[str, Any] = {"result_count": len(shown), "newest_id": str(newest.id), "oldest_id": str(oldest.id)}
    if posts[0].id < oldest.id:
        meta["next_token"] = page_token("older", oldest.id)
    if posts[-1].id > newest.id:
        meta["previous_token"] = page_token("newer", newest.id)
    return shown[::-1], meta


def _post(sandbox: Sandbox, post_id: str) -> Post | None:
    return sandbox.posts.by_id.get(int(post_id)) if ID.fullmatch(post_id) else None


def _includes(
    sandbox: Sandbox, posts: list[Post], expansions: frozenset[str], user_fields: frozenset[str]
) -> dict[str, Any]:
    if "author_id" not in expansions:
        return {}
    authors = dict.fromkeys(post.account_id for post in posts)
    return {"includes": {"users": [user_view(sandbox.accounts.by_id[author], user_fields) for author in authors]}}


def _missing(value: str, parameter: str, new_names: bool, kind: str = "tweet") -> dict[str, Any]:
    return {
        "value": value,
        "detail": f"Could not find {kind} with {parameter}: [{value}].",
        "title": "Not Found Error",
        "resource_type": kind,
        "parameter": parameter,
        "resource_id": value,
        "type": problem_type("resource-not-found", new_names),
    }


def _not_found(value: str, parameter: str, new_names: bool, status: int, kind: str = "tweet") -> Answer:
    return ok({"errors": [_missing(value, parameter, new_names, kind)]}, status=status)


ENDPOINTS = [
    Endpoint("POST /2/tweets", create, WRITE),
    Endpoint("GET /2/tweets", lookup, READ),
    Endpoint("DELETE /2/tweets/{id}", delete, WRITE),
    Endpoint("GET /2/users/{id}/tweets", timeline, READ),
]
