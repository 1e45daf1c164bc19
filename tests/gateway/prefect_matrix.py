"""Every route of Prefect's, asked by every role with every trick: what has to come of it, spelt out by itself."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployments.gateway.prefect_routes import WEBSOCKET, Route, table

# As the promise has it, and not as the code does.
MAY: Mapping[str, frozenset[str]] = {
    "viewer": frozenset({"public", "read"}),
    "operator": frozenset({"public", "read", "operate"}),
    "approver": frozenset({"public", "read", "approve"}),
    "worker": frozenset({"public", "read", "operate", "worker"}),
    "admin": frozenset({"public", "read", "operate", "approve", "worker", "admin"}),
}
CODE = {"command": "id", "env": {"A": "b"}}
ID = "0b7c1f0e-5d0a-4c7e-9a53-2f6f0f1d2e3c"
# Addresses at which pages of our own stand.
OURS = {"/docs", "/docs/oauth2-redirect", "/openapi.json", "/ui-settings"}
# Bodies that run code, or ask for secrets, in every dress.
TRICKS: Mapping[str, str] = {
    "job variables": json.dumps({"job_variables": CODE}),
    "job variables, in a list": json.dumps([{"job_variables": CODE}]),
    "job variables, the second time": '{"job_variables": {}, "job_variables": {"command": "id"}}',
    "job variables, with an escape": '{"\\u006aob_variables": {"command": "id"}}',
    "environment": json.dumps({"env": {"A": "b"}}),
    "command": json.dumps({"command": "id"}),
    "data of a state": json.dumps({"state": {"type": "COMPLETED", "data": {"blob": "gASV"}}}),
    "data of a state, in a list": json.dumps([{"state": {"type": "SCHEDULED", "data": {"blob": "gASV"}}}]),
    "another queue": json.dumps({"work_queue_name": "default", "name": "x"}),
    "another pool": json.dumps({"work_pool_name": "default", "flow_id": ID}),
    "infrastructure": json.dumps({"infrastructure_document_id": ID}),
    "context": json.dumps({"context": {"a": 1}}),
    "a job template": json.dumps({"base_job_template": {"job_configuration": CODE}}),
    "steps": json.dumps({"pull_steps": [{"prefect.deployments.steps.run_shell_script": {"script": "id"}}]}),
}
OF_BLOCKS = "secrets"
SECRET_TRICK = json.dumps({"include_secrets": True})
# What these take is written down and never read as an order: labels, lines and events.
TAKES_ANYTHING = {"PATCH /api/flow_runs/{id:uuid}/labels", "POST /api/logs/", "POST /api/events"}


@dataclass(frozen=True)
class Ask:
    """One request of the matrix, and whether it may reach Prefect."""

    role: str
    route: Route
    trick: str | None
    body: str | None
    passes: bool

    @property
    def path(self) -> str:
        """An address that fits the row."""
        return example(self.route.path)

    def __str__(self) -> str:
        return f"{self.role}: {self.route.name} with {self.trick}"


def example(path: str) -> str:
    """A path that fits a row."""
    words = [ID if word.endswith(":uuid}") else "example" if "{" in word else word for word in path.split("/")]
    return "/".join("assets/x.js" if word == "*" else word for word in words)


def http_rows() -> list[Route]:
    """Rows that are requests, and that the gateway does not answer by itself."""
    return [route for route in table() if route.method != WEBSOCKET and route.path not in OURS]


def asks(role: str) -> Iterator[Ask]:
    """All of a role's requests."""
    for route in http_rows():
        may = bool(route.classes & MAY[role])
        takes_body = route.method in ("POST", "PUT", "PATCH")
        yield Ask(role, route, None, "{}" if takes_body and route.name not in LISTS else None, may)
        if not takes_body:
            continue
        yield Ask(role, route, OF_BLOCKS, SECRET_TRICK, False)
        # Where nothing passes at all, two of them will do.
        for name, body in list(TRICKS.items())[: None if may else 2]:
            harmless = role == "admin" or route.reads or route.name in TAKES_ANYTHING
            if may and route.name == "POST /api/events" and not body.startswith("["):
                harmless = role == "admin"
            yield Ask(role, route, name, body, may and harmless)


LISTS = {"POST /api/deployments/{id:uuid}/create_flow_run/bulk", "POST /api/events"}


def forbidden(body: Any) -> bool:
    """True where a body still holds what runs code."""
    parts = body if isinstance(body, list) else [body]
    return any(
        isinstance(part, dict) and (part.get("job_variables") or (part.get("state") or {}).get("data"))
        for part in parts
    )
