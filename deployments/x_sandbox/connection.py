"""The TCP connection under a request: when its first byte came, and the ways to break it."""

import asyncio
import socket
import struct
import time
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from deployments.x_sandbox.answers import Answer, Headers

LINGER_NOT = struct.pack("ii", 1, 0)


class ClientLeft(Exception):
    """The client closed the connection before its request was whole."""


class ClockedProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol that notes when a request began to arrive and hands its connection to the application."""

    _chunk_at = 0.0
    _message_at = 0.0

    def data_received(self, data: bytes) -> None:
        """Note the time before a single byte is parsed."""
        self._chunk_at = time.time()
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request's first byte lies in the chunk that is being parsed."""
        super().on_message_begin()
        self._message_at = self._chunk_at

    def on_headers_complete(self) -> None:
        """The application's task has been made but not yet run, so it will find the connection in its scope."""
        super().on_headers_complete()
        self.scope["state"]["connection"] = Connection(self._message_at, self.transport, self.cycle)


class Connection:
    """What an exchange may do with its connection beside answering."""

    def __init__(self, first_byte_at: float, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self.first_byte_at = first_byte_at
        self._transport = transport
        self._cycle = cycle

    async def body(self) -> bytes:
        """The whole request body, also when the client has left after sending it. Raises ClientLeft."""
        parts = bytearray()
        while self._cycle.more_body:
            message = await self._cycle.receive()
            if message["type"] != "http.request":
                break
            parts += message["body"]
            if not message["more_body"]:
                return bytes(parts)
        # X reads what lies in its queue whether or not the sender still lives; so does this, past uvicorn's receive.
        if self._cycle.more_body:
            raise ClientLeft
        return bytes(parts + self._cycle.body)

    async def send(self, answer: Answer) -> None:
        """Answer as the protocol wants it."""
        await self._start(answer)
        await self._piece(answer.body, more=False)

    async def drip(self, answer: Answer, seconds_per_byte: float) -> None:
        """Answer with a body that comes byte by byte."""
        await self._start(answer)
        for at in range(len(answer.body)):
            await asyncio.sleep(seconds_per_byte)
            await self._piece(answer.body[at : at + 1], more=True)
        await self._piece(b"", more=False)

    def cut(self, answer: Answer) -> None:
        """Promise the whole body, send half of it and close."""
        lines = [b"HTTP/1.1 %d %s" % (answer.status, HTTPStatus(answer.status).phrase.encode())]
        lines += [name + b": " + value for name, value in _headers(answer)]
        self._leave()
        self._transport.write(b"\r\n".join([*lines, b"", answer.body[: len(answer.body) // 2]]))
        self._transport.close()

    def drop(self) -> None:
        """Close without a byte of an answer."""
        self._leave()
        self._transport.abort()

    def reset(self) -> None:
        """Close with a TCP reset, without a byte of an answer."""
        raw: Any = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.drop()

    async def freeze(self) -> None:
        """Say nothing until the client goes away."""
        while (await self._cycle.receive())["type"] != "http.disconnect":
            pass

    def _leave(self) -> None:
        # Otherwise uvicorn answers 500 in the application's place.
        self._cycle.disconnected = True

    async def _start(self, answer: Answer) -> None:
        await self._cycle.send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})

    async def _piece(self, body: bytes, more: bool) -> None:
        await self._cycle.send({"type": "http.response.body", "body": body, "more_body": more})


def _headers(answer: Answer) -> Headers:
    return [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
