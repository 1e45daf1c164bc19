"""A receiver of webhooks on loopback, and what it was told."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fastapi import FastAPI, Request, Response

from tests.postgres_process import free_port
from tests.prefect_stand_in import listening


@dataclass(frozen=True)
class Heard:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        """Its body."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """Answers by the statuses it was given, then 204."""

    answers: list[int] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    silent: asyncio.Event | None = None

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        """Serve for as long as the block runs."""
        app = FastAPI()

        @app.post("/{path:path}")
        async def hear(path: str, request: Request) -> Response:
            self.heard.append(Heard(f"/{path}", dict(request.headers), await request.body()))
            if self.silent is not None:
                await self.silent.wait()
            status = self.answers.pop(0) if self.answers else 204
            moved = {"Location": f"{self.address}/elsewhere"} if 300 <= status < 400 else {}
            return Response(status_code=status, headers=moved)

        async with listening(app, self.port):
            yield self


@contextmanager
def hearing() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a receiver in a thread of its own, and what it was told."""
    heard: list[dict[str, Any]] = []

    class Hearing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802 - the interface is the library's
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The address is a secret, and the log is everybody's."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hearing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()
