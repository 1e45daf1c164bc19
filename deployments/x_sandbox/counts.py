"""How many posts of the last seven days match a search, span by span."""

from deployments.x_sandbox.answers import Answer, ok
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.clock import made_at, x_time
from deployments.x_sandbox.queries import BadQuery, Query
from deployments.x_sandbox.search import QUERY_LENGTH_MAX, BadSearch, Matches, Search
from deployments.x_sandbox.state import Sandbox

SPAN_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}
LOOK_BACK_SECONDS = 7 * 86_400
SETTLING_SECONDS = 30
"""X ends a count so long ago where nothing else is asked for; what is younger may still be missing from its index."""
YOUNGEST_SECONDS = 10
FIELDS = frozenset({"end", "post_count", "start", "tweet_count"})
"""What may be asked for; X's document has all of a span in every answer, so that asking picks the generation alone."""


def recent(sandbox: Sandbox, call: Call) -> Answer:
    """Counts by minute, hour or day; every span of the time asked for is there, also an empty one."""
    query = Query.of(call.query, sandbox.settings.new_names)
    now = sandbox.clock.now()
    matches = _searched(sandbox, query)
    seconds = SPAN_SECONDS[query.one_of("granularity", "hour", SPAN_SECONDS)]
    asked = query.names("search_count.fields", FIELDS)
    begin, end = _period(query, now)
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    call.bought = ("counts_recent", [])
    new_names = "post_count" in asked or (query.new_names and "tweet_count" not in asked)
    counts = _counted(sandbox, matches, begin, end, seconds, now)
    noun = "post_count" if new_names else "tweet_count"
    spans = [
        {"start": x_time(start), "end": x_time(min(end, start - start % seconds + seconds)), noun: count}
        for start, count in counts.items()
    ]
    return ok({"data": spans, "meta": {f"total_{noun}": sum(counts.values())}})


def _searched(sandbox: Sandbox, query: Query) -> Matches:
    text = query.text("query", QUERY_LENGTH_MAX)
    try:
        return Search(sandbox.posts, sandbox.accounts, sandbox.media).read(text)
    except BadSearch as bad:
        if text:
            query.refuse("query", f"There were errors processing your request: {bad}")
        return lambda _: False


def _period(query: Query, now: float) -> tuple[float, float]:
    """From when to when, in whole seconds; an id in the query weighs more than a time."""
    begin = query.time("start_time", now - LOOK_BACK_SECONDS)
    end = query.time("end_time", now - SETTLING_SECONDS)
    since, until = query.id("since_id", 0), query.id("until_id", 0)
    begin = made_at(since) if since else begin
    end = made_at(until) if until else end
    for parameter in ("next_token", "pagination_token"):
        query.never(parameter)  # seven days fit into one answer, so this X hands out no such token
    if begin < now - LOOK_BACK_SECONDS - SPAN_SECONDS["minute"]:
        oldest = x_time(now - LOOK_BACK_SECONDS)
        query.refuse("since_id" if since else "start_time", f"The time asked for must be on or after {oldest}.")
    elif end > now - YOUNGEST_SECONDS and not until:
        query.refuse("end_time", "'end_time' must be a minimum of 10 seconds prior to the request time.")
    elif begin >= end and not query.wrong:
        query.refuse("start_time", "'end_time' must be after 'start_time'")
    return float(int(begin)), float(int(min(end, now)))


def _counted(
    sandbox: Sandbox, matches: Matches, begin: float, end: float, seconds: int, now: float
) -> dict[float, int]:
    """Visible posts by the beginning of their span; the first span begins where the time asked for does."""
    counts = {begin: 0}
    edge = begin - begin % seconds + seconds
    while edge < end:
        counts[edge] = 0
        edge += seconds
    for post in sandbox.posts.since(begin):
        made = made_at(post.id)
        if made < end and post.visible_at <= now and sandbox.accounts.by_id[post.account_id].shows_posts_to(None):
            counts[max(begin, made - made % seconds)] += matches(post)
    return counts


ENDPOINTS = [Endpoint("GET /2/tweets/counts/recent", recent, frozenset(), app_only=True, oauth1=False)]
