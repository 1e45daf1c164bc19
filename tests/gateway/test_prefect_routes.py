"""Our table of Prefect's routes, held against the Prefect that is installed."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.server.api.server import create_app
from starlette.routing import Mount

from deployments.gateway import prefect_routes
from deployments.gateway.prefect_bodies import OF_PEOPLE, OF_WORKERS
from deployments.gateway.prefect_routes import WEBSOCKET, find, table
from deployments.gateway.prefect_sockets import MESSAGES
from tests.gateway.prefect_matrix import example


def _routes(routes: list[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of each route; FastAPI from 0.137 on keeps routers as they were included."""
    for route in routes:
        if isinstance(route, Mount):
            below = getattr(route.app, "routes", None)
            if below:
                yield from _routes(below, prefix + route.path)
            else:
                yield "GET", f"{prefix}{route.path}/*"
        elif hasattr(route, "original_router"):
            yield from _routes(route.original_router.routes, prefix + route.include_context.prefix)
        elif getattr(route, "methods", None):
            yield from ((method, prefix + route.path) for method in route.methods)
        else:
            yield WEBSOCKET, prefix + route.path


@pytest.fixture(scope="module")
def installed() -> Any:
    return create_app()


@pytest.mark.promise("A1")
def test_every_route_of_the_installed_prefect_is_classified_and_none_is_stale(installed: Any) -> None:
    there = set(_routes(installed.routes))
    assert len(there) > 200
    ours = {(route.method, route.path) for route in table()}
    assert len(ours) == len(table())
    assert there - ours == set(), "say in prefect_routes.csv what these do"
    # The pages are files, which the server mounts once it has written them.
    assert ours - there == {("GET", "/v2/*")}, "Prefect has these no more"


def test_a_row_fits_its_own_path_and_no_row_of_another_method() -> None:
    for route in table():
        assert route in find(route.method, example(route.path))
        assert find("TRACE", example(route.path)) == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/flow_runs/filter\n",
        "/api/flow_runs/filter/",
        "/api/flow_runs",
        "/API/flow_runs/filter",
        "/api/flow_runs/filter/x",
        "/x/api/flow_runs/filter",
        "/api/flow_runs/not-an-id/set_state",
        "/api/work_pools/a/b/get_scheduled_flow_runs",
        "/api",
        "/",
        "",
    ],
)
def test_a_path_fits_wholly_or_not_at_all(path: str) -> None:
    assert [route for method in ("GET", "POST") for route in (find(method, path) if path else [])] == []


@pytest.mark.promise("A1")
def test_each_body_that_is_not_the_admins_has_a_rule(installed: Any) -> None:
    [api] = [route.app for route in installed.routes if isinstance(route, Mount) and route.path == "/api"]
    described = api.openapi()

    def takes(route: prefect_routes.Route) -> Any:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path.removeprefix("/api"))
        body = described["paths"][path][route.method.lower()].get("requestBody")
        return body and body["content"]["application/json"]["schema"]

    rules = {**OF_PEOPLE, **OF_WORKERS}
    for route in table():
        if route.method in ("POST", "PUT", "PATCH") and not route.reads and "admin" not in route.classes:
            assert (route.name, route.name in rules) == (route.name, takes(route) is not None)
    assert set(rules) <= {route.name for route in table()}
    assert set(MESSAGES) == {route.name for route in table() if route.method == WEBSOCKET}
