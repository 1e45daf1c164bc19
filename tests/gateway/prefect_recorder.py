"""A Prefect that writes down what reaches it and answers everything: what passed the gateway is what stands here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket
from starlette.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect

from config.places import Places
from tests.prefect_stand_in import listening

AUTH = "vivesphere:planted-prefect-secret"


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Recorder:
    """What arrived, and what is answered."""

    seen: list[Seen] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    content: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)

        @app.websocket("/{path:path}")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept(subprotocol="prefect")
            try:
                while True:
                    message = await websocket.receive_json()
                    self.said.append(message)
                    answer = {"type": "auth_success"} if message.get("type") == "auth" else {"type": "heard"}
                    await websocket.send_json(answer)
            except WebSocketDisconnect:
                pass

        methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

        @app.api_route("/{path:path}", methods=methods)
        async def anything(request: Request) -> Response:
            body = await request.body()
            path = request.scope["raw_path"].decode()
            self.seen.append(Seen(request.method, path, request.url.query, dict(request.headers), body))
            return JSONResponse(self.content, self.status, self.headers)

        return app

    def taken(self) -> list[Seen]:
        """What arrived since the last look."""
        seen, self.seen = self.seen, []
        return seen

    @asynccontextmanager
    async def running(self, places: Places) -> AsyncIterator["Recorder"]:
        """Serve at the address of the settings."""
        assert places.prefect_auth is not None
        places.prefect_auth.write_text(AUTH, encoding="utf-8")
        async with listening(self.app(), places.settings.prefect.port or 0):
            yield self
