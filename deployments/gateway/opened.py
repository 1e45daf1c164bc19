"""What the gateway holds open, for whoever has a request or websocket in hand and no route."""

from starlette.requests import HTTPConnection

from deployments.gateway.opening import Ready
from deployments.gateway.problems import ProblemError
from tasks.connections import Connections


def running(connection: HTTPConnection) -> Ready:
    """What the gateway holds open; raises 503 before it does, which a websocket can meet."""
    found: Ready | None = connection.scope["app"].state.opening.ready
    if found is None:
        raise ProblemError(503, "not-ready", "the gateway is not ready", {"Retry-After": "1"})
    return found


def connections(connection: HTTPConnection) -> Connections:
    """For an operation."""
    return running(connection).connections
