"""The endpoints on accounts: the one behind a token, and others by id and by username."""

from collections.abc import Callable
from typing import Any

from deployments.x_sandbox.accounts import Account
from deployments.x_sandbox.answers import Answer, missing, ok, suspended
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.includes import shown_user
from deployments.x_sandbox.post_reads import READ
from deployments.x_sandbox.queries import ID, POST_FIELDS, USER_EXPANSIONS, USER_FIELDS, USERNAME, BadQuery, Query
from deployments.x_sandbox.state import Sandbox

Find = Callable[[str], Account | None]


def me(sandbox: Sandbox, call: Call) -> Answer:
    """Whose token this is."""
    _access, account = call.caller
    query = Query.of(call.query, sandbox.settings.new_names)
    fields = _fields(query)
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    call.bought = ("user_read", [account.id])
    return ok({"data": shown_user(sandbox, account, fields, query.new_names)})


def by_ids(sandbox: Sandbox, call: Call) -> Answer:
    """Up to 100 accounts by id; data and errors may stand side by side."""
    query = Query.of(call.query, sandbox.settings.new_names)
    return _many(sandbox, call, query, "ids", query.values_of("ids", ID), sandbox.accounts.by_id.get)


def by_usernames(sandbox: Sandbox, call: Call) -> Answer:
    """Up to 100 accounts by username; data and errors may stand side by side."""
    query = Query.of(call.query, sandbox.settings.new_names)
    return _many(sandbox, call, query, "usernames", query.values_of("usernames", USERNAME), sandbox.accounts.find)


def by_id(sandbox: Sandbox, call: Call) -> Answer:
    """One account by id."""
    query = Query.of(call.query, sandbox.settings.new_names)
    query.in_path("id", call.path_id, ID)
    return _one(sandbox, call, query, "id", call.path_id, sandbox.accounts.by_id.get)


def by_username(sandbox: Sandbox, call: Call) -> Answer:
    """One account by username."""
    query = Query.of(call.query, sandbox.settings.new_names)
    query.in_path("username", call.path_id, USERNAME)
    return _one(sandbox, call, query, "username", call.path_id, sandbox.accounts.find)


def _fields(query: Query) -> frozenset[str]:
    query.fields("tweet.fields", "post.fields", among=POST_FIELDS)
    query.names("expansions", USER_EXPANSIONS)
    return query.fields("user.fields", among=USER_FIELDS)


def _unknown(value: str, parameter: str, new_names: bool) -> dict[str, Any]:
    return missing(value, parameter, new_names, kind="user")


def _many(sandbox: Sandbox, call: Call, query: Query, parameter: str, values: list[str], find: Find) -> Answer:
    fields, new_names = _fields(query), query.new_names
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    found = {value: find(value) for value in values}
    shown = [account for account in found.values() if account and not account.suspended]
    call.bought = ("user_read", [account.id for account in shown]) if shown else None
    parts: dict[str, list[dict[str, Any]]] = {
        "data": [shown_user(sandbox, account, fields, new_names) for account in shown],
        "errors": [
            (suspended if account else _unknown)(value, parameter, new_names)
            for value, account in found.items()
            if account is None or account.suspended
        ],
    }
    return ok({name: part for name, part in parts.items() if part})


def _one(sandbox: Sandbox, call: Call, query: Query, parameter: str, value: str, find: Find) -> Answer:
    fields, new_names = _fields(query), query.new_names
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    account = find(value)
    if account and not account.suspended:
        call.bought = ("user_read", [account.id])
        return ok({"data": shown_user(sandbox, account, fields, new_names)})
    return ok({"errors": [(suspended if account else _unknown)(value, parameter, new_names)]})


ENDPOINTS = [
    Endpoint("GET /2/users/me", me, READ),
    Endpoint("GET /2/users", by_ids, READ, app_only=True),
    Endpoint("GET /2/users/by", by_usernames, READ, app_only=True),
    Endpoint("GET /2/users/{id}", by_id, READ, app_only=True),
    Endpoint("GET /2/users/by/username/{username}", by_username, READ),
]
