"""The endpoint on the account behind a token."""

from deployments.x_sandbox.answers import Answer, ok
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.post_reads import READ
from deployments.x_sandbox.queries import POST_FIELDS, USER_EXPANSIONS, USER_FIELDS, BadQuery, Query
from deployments.x_sandbox.state import Sandbox
from deployments.x_sandbox.views import user_view


def me(_: Sandbox, call: Call) -> Answer:
    """Whose token this is."""
    _access, account = call.caller
    query = Query.of(call.query)
    fields = query.fields("user.fields", among=USER_FIELDS)
    query.fields("tweet.fields", "post.fields", among=POST_FIELDS)
    query.names("expansions", USER_EXPANSIONS)
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    return ok({"data": user_view(account, fields)})


ENDPOINTS = [Endpoint("GET /2/users/me", me, READ)]
