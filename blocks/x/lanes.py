"""Connections to one address: a bounded number of lanes of one connection each, last in, first out.

A pool of httpcore looks at all its connections for every request and forgets connections whose request
was cancelled while it connected, until none is left. A lane belongs to one request at a time; it goes
back only when its connection can be used again, and otherwise is closed and replaced by an unopened one.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from pathlib import Path

import httpcore
import httpx

from blocks.tls import tls_context

# Common servers hang up after 5 s: closing first keeps a request from meeting a connection that is just ending,
# which would leave its outcome unknown.
IDLE_SECONDS = 4.0
ANSWER_BYTES_MAX = 16 * 1024 * 1024


class Lanes(httpx.AsyncBaseTransport):
    """Transport over `count` connections to the origin of `address`.

    An answer is read to its end before it is handed over. No proxies, cookies, redirects or compression, and
    nothing is taken from the environment. httpcore's exceptions come through as they are, and so do the events
    of its `trace` extension, each at most once for a request.
    """

    def __init__(self, address: httpx.URL, count: int, *, ca_file: Path | None = None) -> None:
        self._origin = _core_url(address).origin
        self._tls = tls_context(ca_file) if address.scheme == "https" else None
        self._closed = False
        self._free: asyncio.LifoQueue[_Lane] = asyncio.LifoQueue()
        self._count = count
        # Lanes in use that are to go once their requests end.
        self._surplus = 0
        for _ in range(count):
            self._free.put_nowait(self._unopened())

    async def resize(self, count: int) -> None:
        """Have `count` lanes from here on; those too many go when they are free."""
        more, self._count = count - self._count, count
        if more > 0:
            kept = min(more, self._surplus)
            self._surplus -= kept
            for _ in range(more - kept):
                self._free.put_nowait(self._unopened())
        else:
            self._surplus -= more
        while self._surplus and not self._free.empty():
            self._surplus -= 1
            await self._free.get_nowait().close()

    @property
    def free(self) -> int:
        """Lanes that no request holds."""
        return self._free.qsize()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send on a free lane, waiting for one if need be; set an own deadline around it."""
        if self._closed:
            raise httpx.PoolTimeout("the lanes are closed")
        lane = await self._free.get()
        try:
            if lane.expired():
                await lane.close()
                lane = self._unopened()
            return await lane.ask(request)
        finally:
            await self._give_back(lane)

    async def aclose(self) -> None:
        """Close the free lanes now, and those in use when their requests end."""
        self._closed = True
        while not self._free.empty():
            await self._free.get_nowait().close()

    def _unopened(self) -> "_Lane":
        return _Lane(self._origin, self._tls)

    async def _give_back(self, lane: "_Lane") -> None:
        surplus = self._surplus > 0
        usable = lane.usable() and not self._closed and not surplus
        if surplus:
            self._surplus -= 1
        elif not self._closed:
            # Before anything is awaited: a second cancellation must not cost a lane.
            self._free.put_nowait(lane if usable else self._unopened())
        if not usable:
            await lane.close()


class _Lane:
    def __init__(self, origin: httpcore.Origin, tls: ssl.SSLContext | None) -> None:
        self._dialler = _Dialler()
        self._connection = httpcore.AsyncHTTPConnection(
            origin, ssl_context=tls, keepalive_expiry=IDLE_SECONDS, network_backend=self._dialler
        )

    def expired(self) -> bool:
        return self._connection.has_expired()

    def usable(self) -> bool:
        # Not is_idle(): that is true of a connection that failed to open.
        return self._connection.is_available()

    async def ask(self, request: httpx.Request) -> httpx.Response:
        response = await self._connection.handle_async_request(
            httpcore.Request(
                request.method,
                _core_url(request.url),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        body = bytearray()
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                raise httpx.RemoteProtocolError("the answer is longer than any of X")
        await response.aclose()
        if any(
            name.lower() == b"content-encoding" and value.lower() != b"identity" for name, value in response.headers
        ):
            raise httpx.DecodingError("the answer is compressed, which was not asked for")
        return httpx.Response(response.status, headers=response.headers, content=bytes(body))

    async def close(self) -> None:
        await self._dialler.close()


class _Dialler(httpcore.AsyncNetworkBackend):
    """Opens the connection of a lane and keeps hold of its socket, which httpcore loses in a cancelled handshake."""

    def __init__(self) -> None:
        self._network = httpcore.AnyIOBackend()
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self._stream = await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        return self._stream

    async def close(self) -> None:
        if self._stream is not None:
            # The lane is given up either way, and what its request came to is known already: nothing is lost here.
            with contextlib.suppress(Exception):
                await self._stream.aclose()


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
