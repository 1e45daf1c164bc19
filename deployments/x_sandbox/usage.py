"""How many posts an app has read, against X's monthly cap."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

from deployments.x_sandbox.answers import Answer, ok
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.clock import x_time
from deployments.x_sandbox.money import day_of
from deployments.x_sandbox.queries import BadQuery, Query
from deployments.x_sandbox.state import Sandbox

DAYS_DEFAULT, DAYS_MOST = 7, 90
NUMBER_DIGITS = 8
DEFAULT_FIELDS = frozenset({"cap_reset_day", "project_cap", "project_id", "project_usage"})
FIELDS = DEFAULT_FIELDS | {"daily_client_app_usage", "daily_project_usage"}


def usage(sandbox: Sandbox, call: Call) -> Answer:
    """Posts read this month and on each of the last days; every app of this X is a project of its own."""
    query = Query.of(call.query, sandbox.settings.new_names)
    days = query.whole("days", DAYS_DEFAULT, 1, DAYS_MOST)
    fields = query.names("usage.fields", FIELDS) or DEFAULT_FIELDS
    try:
        query.check()
    except BadQuery as bad:
        return bad.answer
    client_id = call.access.family.client_id if call.access else ""
    now, number = sandbox.clock.now(), _number(client_id)
    daily = _daily(sandbox, client_id, day_of(now), days)
    known = {
        "cap_reset_day": _days_left(day_of(now)),
        "daily_client_app_usage": [{"client_app_id": number, "usage": daily, "usage_result_count": len(daily)}],
        "daily_project_usage": {"project_id": number, "usage": daily},
        "project_cap": str(sandbox.settings.usage_cap_posts),
        "project_id": number,
        "project_usage": str(sandbox.money.read_in_month(client_id, now)),
    }
    return ok({"data": {name: value for name, value in known.items() if name in fields}})


def _daily(sandbox: Sandbox, client_id: str, today: date, days: int) -> list[dict[str, Any]]:
    wanted = [today - timedelta(days=ago) for ago in reversed(range(days))]
    return [
        {"date": x_time(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()), "usage": str(count)}
        for day, count in sandbox.money.read_on(client_id, wanted)
    ]


def _days_left(today: date) -> int:
    first_of_next = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return (first_of_next - today).days


def _number(client_id: str) -> str:
    """X numbers apps and projects; a client id of this X is no number, so one is made of it."""
    return str(int(hashlib.sha256(client_id.encode()).hexdigest()[:12], 16))[:NUMBER_DIGITS]


ENDPOINTS = [Endpoint("GET /2/usage/tweets", usage, frozenset(), app_only=True, oauth1=False, oauth2=False, free=True)]
