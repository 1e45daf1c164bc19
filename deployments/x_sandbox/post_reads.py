"""The endpoints that read posts: look up, timeline."""

from typing import Any

from deployments.x_sandbox.answers import Answer, missing, not_found, ok
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.includes import Wanted, content
from deployments.x_sandbox.post_store import Post
from deployments.x_sandbox.queries import ID, BadQuery, Query, page_token
from deployments.x_sandbox.state import Sandbox

IDS_MAX = 100
PAGE_LEAST, PAGE_DEFAULT, PAGE_MOST = 5, 10, 100
ID_MAX = 2**63

READ = frozenset({"tweet.read", "users.read"})


def lookup(sandbox: Sandbox, call: Call) -> Answer:
    """Up to 100 posts by id; data and errors may stand side by side."""
    query = Query.of(call.query)
    ids = query.values.get("ids", "").split(",")
    wanted = Wanted.of(query, sandbox.settings.new_names)
    if len(ids) > IDS_MAX or not all(map(ID.fullmatch, ids)):
        query.wrong.append(({"ids": ids}, f"The `ids` query parameter needs 1 to {IDS_MAX} ids of ^[0-9]{{1,19}}$"))
    try:
        query.check("ids")
    except BadQuery as bad:
        return bad.answer
    found = {post_id: post for post_id in ids if (post := sandbox.posts.find(post_id))}
    answer = content(sandbox, list(found.values()), wanted)
    if lost := [missing(post_id, "ids", wanted.new_names) for post_id in ids if post_id not in found]:
        answer["errors"] = lost + answer.get("errors", [])
    return ok(answer)


def timeline(sandbox: Sandbox, call: Call) -> Answer:
    """One account's visible posts, newest first, in pages."""
    query = Query.of(call.query)
    size = query.whole("max_results", PAGE_DEFAULT, PAGE_LEAST, PAGE_MOST)
    above = max(query.id("since_id", 0), query.time_as_id("start_time", 0) - 1)
    below = min(query.id("until_id", ID_MAX), query.time_as_id("end_time", ID_MAX))
    page = query.page()
    without = query.names("exclude", frozenset({"replies", "retweets"}))
    wanted = Wanted.of(query, sandbox.settings.new_names)
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    if call.path_id not in sandbox.accounts.by_id:
        return not_found(call.path_id, "id", sandbox.settings.new_names, status=200, kind="user")
    posts = sandbox.posts.between(call.path_id, above, below, sandbox.clock.now())
    if "replies" in without:
        posts = [post for post in posts if "in_reply_to" not in post.extras]
    shown, meta = _page(posts, size, page)
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
    Endpoint("GET /2/tweets", lookup, READ),
    Endpoint("GET /2/users/{id}/tweets", timeline, READ),
]
