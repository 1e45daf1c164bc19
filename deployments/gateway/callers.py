"""Who asks for something of Prefect's: looked up anew for whatever changes something, and remembered for a moment for
what only looks. A page of Prefect's makes some hundred requests, each of which would ask the database else."""

import hashlib
import time
from collections import OrderedDict

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Scope

from deployments.gateway import origins, sign_in
from deployments.gateway.opening import Ready
from deployments.gateway.problems import ProblemError
from tasks.connections import Connections
from tasks.domain.roles import Actor

# Whoever is disabled sees Prefect's pages this much longer, and changes nothing any more.
REMEMBERED_SECONDS = 2.0
REMEMBERED_CALLERS = 1_000


class Callers:
    """Callers of the last moment, by what they showed; the credential itself is kept nowhere."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[float, Actor]] = OrderedDict()

    async def of(self, connection: HTTPConnection, *, fresh: bool) -> Actor:
        """Who makes this request; `fresh` asks the database. Raises 401."""
        shown = _shown(connection.scope)
        then, actor = self._known.get(shown, (float("-inf"), None))
        # A cookie counts where a page of ours asks, and that is looked at for each request.
        fresh = fresh or _from_elsewhere(connection.scope)
        if not fresh and actor is not None and time.monotonic() - then < REMEMBERED_SECONDS:
            return actor
        try:
            actor = await sign_in.identify(running(connection), connection.scope)
        except ProblemError:
            self._known.pop(shown, None)
            raise
        self._known[shown] = (time.monotonic(), actor)
        self._known.move_to_end(shown)
        if len(self._known) > REMEMBERED_CALLERS:
            self._known.popitem(last=False)
        return actor


def running(connection: HTTPConnection) -> Ready:
    """What the gateway holds open; raises 503 before it does, which a websocket can meet."""
    found: Ready | None = connection.scope["app"].state.opening.ready
    if found is None:
        raise ProblemError(503, "not-ready", "the gateway is not ready", {"Retry-After": "1"})
    return found


def connections(connection: HTTPConnection) -> Connections:
    """For an operation."""
    return running(connection).connections


def _from_elsewhere(scope: Scope) -> bool:
    return "cookie" in Headers(scope=scope) and origins.changes(scope) and not origins.same_origin(scope)


def _shown(scope: Scope) -> bytes:
    headers = Headers(scope=scope)
    parts = (headers.get("authorization", ""), headers.get("cookie", ""))
    return hashlib.sha256("\n".join(parts).encode("latin-1")).digest()
