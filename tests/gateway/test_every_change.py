"""Every route that changes something audits it: found by walking the routes and what their functions call."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployments.gateway.app import ROUTERS
from tasks.operations import activity

SAFE = {"GET", "HEAD", "OPTIONS"}
# Routes of an unsafe method that change nothing, each with why.
CHANGE_NOTHING = {
    ("POST", "/api/v1/auth/login"): "it answers with a token that is stored nowhere; the sign-in is noted as such",
    ("POST", "/api/v1/logs/submit"): "what it leaves is a line of the log itself, under its sender's name",
    ("POST", "/api/v1/posts/check"): "it judges drafts and stores nothing",
    ("POST", "/login"): "it begins a session; the sign-in is noted as such",
    ("POST", "/logout"): "it ends the caller's own session; the sign-out is noted as such",
}
# Safe by method, and yet they change something.
CHANGE_BY_GET = {("GET", "/oauth/callback")}
NOTES = {activity.note, activity.note_each}
OURS = ("tasks.operations", "deployments.gateway")


def changing_routes() -> Iterator[tuple[tuple[str, str], Callable[..., Any]]]:
    for prefix, router in ROUTERS:
        for route in router.routes:
            for method in route.methods:
                name = (method, f"{prefix}{route.path}")
                if name in CHANGE_BY_GET or (method not in SAFE and name not in CHANGE_NOTHING):
                    yield name, route.endpoint


def reaches_a_note(start: Callable[..., Any]) -> bool:
    """Whether a function, or one of ours that it names, audits."""
    seen: set[Any] = set()
    waiting: list[Any] = [start]
    while waiting:
        function = waiting.pop()
        if function in NOTES:
            return True
        if function in seen:
            continue
        seen.add(function)
        waiting += named_in(function)
    return False


def named_in(function: Any) -> Iterator[Any]:
    """Functions and classes of ours that the source of a function or class speaks of."""
    module = inspect.getmodule(function)
    assert module is not None
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        found: Any = None
        if isinstance(node, ast.Name):
            found = getattr(module, node.id, None)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found = getattr(getattr(module, node.value.id, None), node.attr, None)
        if (inspect.isfunction(found) or inspect.isclass(found)) and found.__module__.startswith(OURS):
            yield found


@pytest.mark.promise("A3")
@pytest.mark.parametrize(
    ("name", "endpoint"), list(changing_routes()), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_route_that_changes_something_audits_it(name: tuple[str, str], endpoint: Callable[..., Any]) -> None:
    assert reaches_a_note(endpoint), f"{' '.join(name)}: call activity.note in the transaction of the change"


def test_a_route_that_only_looks_reaches_no_note() -> None:
    """The walk itself: it would be worth nothing if it found a note everywhere."""
    looking = {
        route.endpoint
        for _, router in ROUTERS
        for route in router.routes
        if route.methods == {"GET"} and route.endpoint.__name__ in ("list_posts", "counts", "list_rows", "today")
    }
    assert len(looking) == 4
    assert not [endpoint for endpoint in looking if reaches_a_note(endpoint)]


def test_the_exceptions_are_routes_that_there_are() -> None:
    there = {
        (method, f"{prefix}{route.path}")
        for prefix, router in ROUTERS
        for route in router.routes
        for method in route.methods
    }
    assert set(CHANGE_NOTHING) | CHANGE_BY_GET <= there
