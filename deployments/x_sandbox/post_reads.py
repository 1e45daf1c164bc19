"""The endpoints that read posts: by id, by author, by who is mentioned."""

from collections.abc import Callable
from typing import Any

from deployments.x_sandbox.answers import Answer, missing, not_for_you, ok
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.includes import Wanted, content, look_up
from deployments.x_sandbox.post_store import Post, Span
from deployments.x_sandbox.queries import ID, BadQuery, Query, page_token
from deployments.x_sandbox.state import Sandbox

PAGE_LEAST, PAGE_DEFAULT, PAGE_MOST = 5, 10, 100
ID_MAX = 2**63

READ = frozenset({"tweet.read", "users.read"})


def lookup(sandbox: Sandbox, call: Call) -> Answer:
    """Up to 100 posts by id; data and errors may stand side by side."""
    query = Query.of(call.query, sandbox.settings.new_names)
    return _looked_up(sandbox, call, query, "ids", query.values_of("ids", ID))


def lookup_one(sandbox: Sandbox, call: Call) -> Answer:
    """One post by id."""
    query = Query.of(call.query, sandbox.settings.new_names)
    query.in_path("id", call.path_id, ID)
    return _looked_up(sandbox, call, query, "id", [call.path_id])


def timeline(sandbox: Sandbox, call: Call) -> Answer:
    """One account's visible posts, newest first, in pages."""
    query = Query.of(call.query, sandbox.settings.new_names)
    without = query.names("exclude", frozenset({"replies", "retweets"}))
    return _listed(
        sandbox,
        call,
        query,
        lambda span: [
            post
            for post in sandbox.posts.between(call.path_id, span)
            if "replies" not in without or "in_reply_to" not in post.extras
        ],
    )


def mentions(sandbox: Sandbox, call: Call) -> Answer:
    """Visible posts that name an account or reply to it, newest first, in pages."""
    query = Query.of(call.query, sandbox.settings.new_names)
    return _listed(sandbox, call, query, lambda span: sandbox.posts.mentions(call.path_id, span))


def _looked_up(sandbox: Sandbox, call: Call, query: Query, parameter: str, ids: list[str]) -> Answer:
    wanted = Wanted.of(query, call.account)
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    posts, errors = look_up(sandbox, ids, parameter, wanted)
    call.bought = ("post_read", [str(post.id) for post in posts]) if posts else None
    answer = content(sandbox, posts, wanted)
    if errors:
        answer["errors"] = errors + answer.get("errors", [])
    if parameter == "id" and posts:
        answer["data"] = answer["data"][0]
    return ok(answer)


def _listed(sandbox: Sandbox, call: Call, query: Query, posts_in: Callable[[Span], list[Post]]) -> Answer:
    size = query.whole("max_results", PAGE_DEFAULT, PAGE_LEAST, PAGE_MOST)
    above = max(query.id("since_id", 0), query.time_as_id("start_time", 0) - 1)
    below = min(query.id("until_id", ID_MAX), query.time_as_id("end_time", ID_MAX))
    page = query.page()
    wanted = Wanted.of(query, call.account)
    query.in_path("id", call.path_id, ID)
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    account = sandbox.accounts.by_id.get(call.path_id)
    if account is None:
        return ok({"errors": [missing(call.path_id, "id", wanted.new_names, kind="user")]})
    if not account.shows_posts_to(wanted.viewer_id):
        return ok({"errors": [not_for_you(call.path_id, "id", wanted.new_names, kind="user")]})
    posts = posts_in(Span(above, below, sandbox.clock.now()))
    readable = [post for post in posts if sandbox.accounts.by_id[post.account_id].shows_posts_to(wanted.viewer_id)]
    shown, meta = _page(readable, size, page)
    call.bought = ("post_read", [str(post.id) for post in shown]) if shown else None
    return ok({**content(sandbox, shown, wanted), "meta": meta})


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


ENDPOINTS = [
    Endpoint("GET /2/tweets", lookup, READ, app_only=True, capped=True),
    Endpoint("GET /2/tweets/{id}", lookup_one, READ, app_only=True, capped=True),
    Endpoint("GET /2/users/{id}/tweets", timeline, READ, app_only=True, capped=True),
    Endpoint("GET /2/users/{id}/mentions", mentions, READ, app_only=True, capped=True),
]
