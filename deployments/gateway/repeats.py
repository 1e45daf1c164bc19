"""`Idempotency-Key`: who did not hear our answer sends the same again, and hears it without changing anything twice.

Who may not do a thing is told so before his key is looked at, and whose role has ended hears no old answer.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from fastapi import Request
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.gateway.problems import ProblemError
from tasks.connections import Connections
from tasks.domain.roles import Actor
from tasks.operations import repeats
from tasks.operations.repeats import Answer, Claim

HEADER = "idempotency-key"
REPLAYED = "Idempotent-Replayed"
KEY_CHARACTERS_MAX = 200
# Of an answer that is said again, those that are not made anew for each answer.
KEPT_HEADERS = ("content-type", "location", "etag", "link")
# A file is laid aside while its digest is made, beyond this size on the disk.
STREAMED = "application/octet-stream"
IN_MEMORY_BYTES = 8 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024
_CLAIM = "vivesphere.claim"
_FILE = "vivesphere.file"


class RepeatedError(Exception):
    """This was asked and answered before."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("asked and answered before")
        self.answer = answer


async def claim(request: Request, at: Connections, actor: Actor) -> None:
    """Take the request's key, where it brings one. Raises RepeatedError with the answer that was given before."""
    key = request.headers.get(HEADER)
    if key is None:
        return
    if not 0 < len(key) <= KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable():
        raise ProblemError(422, "invalid-request", f"{HEADER}: 1 to {KEY_CHARACTERS_MAX} printable ASCII characters")
    found = await repeats.begin(at, actor, key, await _said(request))
    if isinstance(found, Answer):
        raise RepeatedError(found)
    request.scope[_CLAIM] = found


async def again(_: Request, error: Exception) -> Response:
    """The same answer once more."""
    said = cast(RepeatedError, error).answer
    return Response(said.body, said.status, {**said.headers, REPLAYED: "true"})


class Repeats:
    """ASGI middleware: an answer under a key is kept before it is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        held: list[Message] = []

        async def sending(message: Message) -> None:
            taken: Claim | None = scope.get(_CLAIM)
            if taken is None or message["type"] not in ("http.response.start", "http.response.body"):
                await send(message)
                return
            held.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                await _keep(scope["app"].state.opening.ready.connections, taken, held)
                for one in held:
                    await send(one)

        try:
            await self._app(scope, receive, sending)
        finally:
            if _FILE in scope:
                scope[_FILE].close()


async def content(request: Request) -> AsyncIterator[bytes]:
    """The bytes of a request that is a file, whether they were read for its key or not."""
    file: IO[bytes] | None = request.scope.get(_FILE)
    if file is None:
        async for piece in request.stream():
            yield piece
        return
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield piece


async def _keep(at: Connections, taken: Claim, messages: list[Message]) -> None:
    start, *parts = messages
    if start["status"] >= 500:
        # Whatever kept us from answering may have passed when it is sent again.
        await repeats.release(at, taken)
        return
    told = Headers(raw=start["headers"])
    headers = {name: told[name] for name in KEPT_HEADERS if name in told}
    body = b"".join(part.get("body", b"") for part in parts)
    await repeats.finish(at, taken, Answer(start["status"], headers, body))


async def _said(request: Request) -> bytes:
    """What makes a request the same as another."""
    headers = request.headers
    streamed = headers.get("content-type", "").startswith(STREAMED)
    body = await _laid_aside(request) if streamed else await request.body()
    parts: list[Any] = [
        request.method.encode(),
        request.scope["path"].encode(),
        request.scope["query_string"],
        headers.get("if-match", "").encode(),
        body,
    ]
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


async def _laid_aside(request: Request) -> bytes:
    """The digest of a file, which `content` gives out afterwards."""
    # Closed by Repeats, once the request is answered.
    file = request.scope[_FILE] = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115
    digest = hashlib.sha256()
    async for piece in request.stream():
        digest.update(piece)
        await asyncio.to_thread(file.write, piece)
    return digest.digest()
