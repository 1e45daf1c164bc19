"""What holds for every request, whatever its route: nobody in before we are ready, and no fault shown as it is."""

import logging
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.gateway.problems import answer

# The largest honest body: 1,000 drafts of the longest text, four bytes a character.
BODY_BYTES_MAX = 110_000_000
API = "/api/v1/"
READABLE = ("", "application/json", "application/octet-stream")
HEALTH = "/api/v1/health"

log = logging.getLogger("vivesphere.debug")


class TooLongError(Exception):
    """More was sent than any request of ours holds."""


class Doorway:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other protocols are passed on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        opening = scope["app"].state.opening
        if opening.ready is None and scope["path"] != HEALTH:
            detail = f"the gateway is not ready: {opening.reason}"
            await answer(503, "not-ready", detail, headers={"Retry-After": "1"})(scope, receive, send)
            return
        if not _is_readable(scope):
            detail = "send JSON: `Content-Type: application/json`, or for a file `application/octet-stream`"
            await answer(415, "unsupported-media-type", detail)(scope, receive, send)
            return
        await self._guarded(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False
        taken = 0

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_headers(message["headers"])]
            await send(message)

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > BODY_BYTES_MAX:
                raise TooLongError
            return message

        try:
            await self._app(scope, receiving, sending)
        except Exception as error:
            if begun:
                raise
            if isinstance(error, TooLongError):
                detail = f"a request holds at most {BODY_BYTES_MAX:,} bytes; send it in parts"
                await answer(413, "too-long", detail)(scope, receive, send)
                return
            fault = str(uuid4())
            # The path alone: the query may hold a token.
            log.exception("fault %s in %s %s", fault, scope["method"], scope["path"])
            detail = f"something went wrong on our side; the debug log says more under {fault}"
            await answer(500, "unexpected", detail)(scope, receive, send)


def _is_readable(scope: Scope) -> bool:
    """Whether the API reads bodies of this type; what has no type is JSON, or no body at all."""
    kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    return not scope["path"].startswith(API) or kind in READABLE


def _headers(present: list[Any]) -> list[tuple[bytes, bytes]]:
    """Answers hold names and texts of customers, and addresses hold tokens: nothing is kept or passed on."""
    names = {name.lower() for name, _ in present}
    wanted = {b"cache-control": b"no-store", b"referrer-policy": b"no-referrer", b"x-content-type-options": b"nosniff"}
    return [(name, value) for name, value in wanted.items() if name not in names]
