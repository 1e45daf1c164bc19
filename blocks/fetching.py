"""Pages of strangers, fetched politely: we say who we are, heed robots.txt, ask one thing of a host at a time and no
sooner than it said, and send what a page had when we saw it last, so that an unchanged one is not sent again.

A page is read up to its cap, unpacked, within one total time; each redirect is judged as the first address was.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import httpcore
import httpx
from hishel import AsyncSqliteStorage, CacheStatus
from hishel.httpx import AsyncCacheTransport
from protego import Protego

from blocks.tls import tls_context
from blocks.web import Network, Reach
from blocks.web_errors import (
    EXPECTED,
    Failing,
    NotAllowed,
    Refused,
    Throttled,
    TooLarge,
    TooSlow,
    Unreachable,
    WebError,
    translate,
)
from config.places import Places

PRODUCT = "ViveSphere-Bot-Manager"
PORTS = (80, 443)
# X is asked by its API alone.
NEVER = ("x.com", "twitter.com")
REDIRECTS_MOST = 5
CACHE_BYTES_MOST = 200_000_000
REDIRECTS = frozenset((301, 302, 303, 307, 308))
ROBOTS = "/robots.txt"
ROBOTS_BYTES_MOST = 500_000
ROBOTS_KEPT = timedelta(hours=24)
RETRY_DEFAULT, RETRY_MOST = timedelta(minutes=15), timedelta(days=1)
PIECE_BYTES = 65_536
GZIP = 31  # zlib's name for it


@dataclass(frozen=True)
class Manners:
    """How we go out: as `contact` says who we are, for at most `seconds` a page and `bytes_most` of it, unpacked."""

    contact: str
    seconds: float
    bytes_most: int
    cache: Path
    reach: Reach

    @classmethod
    def of(cls, places: Places) -> "Manners":
        """As the settings say."""
        said = places.settings.trend_sources
        hosts = frozenset(host.strip().lower() for host in said.private_hosts.split(",") if host.strip())
        cache = places.home / "cache" / "web.db"
        return cls(said.contact, said.page_seconds, said.page_bytes, cache, Reach(PORTS, hosts))

    @property
    def user_agent(self) -> str:
        """Who we are, and whom to tell if we are a nuisance."""
        return f"{PRODUCT} ({self.contact})"


@dataclass(frozen=True)
class Page:
    """What was fetched, from where in the end, and whether the server had to send it anew."""

    url: str
    body: bytes
    content_type: str
    is_cached: bool


@dataclass
class _Host:
    """What we remember of a host."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    not_before: datetime | None = None
    # By origin, because each port has its own; with the time when it was asked for.
    robots: dict[str, tuple[Protego, datetime]] = field(default_factory=dict)


class Web:
    """The way out for pages; open it with `async with`, once in a process."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners
        self._hosts: dict[str, _Host] = {}
        self._cached = AsyncCacheTransport(
            _Outward(manners),
            AsyncSqliteStorage(database_path=manners.cache, max_size=CACHE_BYTES_MOST),
            rfc=True,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cached.aclose()

    async def get(self, url: str, now: datetime, headers: Mapping[str, str], *, is_api: bool = False) -> Page:
        """A page; robots.txt is for those who wander, so a documented API is asked without. Raises WebError."""
        errand = _Errand(now, headers, is_api, self._manners.seconds)
        try:
            for _ in range(REDIRECTS_MOST + 1):
                found = await self._hop(httpx.URL(url), errand)
                if isinstance(found, Page):
                    return found
                url = found
        except EXPECTED as error:
            if isinstance(error, TimeoutError):
                raise TooSlow(f"not all of it came within {self._manners.seconds:g} s") from None
            raise translate(error) from None
        raise Refused(f"more than {REDIRECTS_MOST} redirects")

    async def _hop(self, url: httpx.URL, errand: "_Errand") -> Page | str:
        """The page, or where it has gone to; waiting for one's turn is not counted."""
        self._judge(url)
        host = self._hosts.setdefault(url.host, _Host())
        async with host.turn:
            if host.not_before and errand.now < host.not_before:
                raise Throttled(f"{url.host} asked us to wait", retry_at=host.not_before)
            async with errand.under_way():
                if not errand.is_api:
                    await self._ask_robots(host, url, errand.now)
                return await self._ask(host, url, errand.now, errand.headers, self._manners.bytes_most)

    def _judge(self, url: httpx.URL) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise NotAllowed("only http and https are spoken here")
        if url.userinfo:
            raise NotAllowed("the address holds a login")
        if any(url.host == name or url.host.endswith("." + name) for name in NEVER):
            raise NotAllowed(f"{url.host} is asked by its API alone")

    async def _ask_robots(self, host: _Host, url: httpx.URL, now: datetime) -> None:
        """RFC 9309: without a robots.txt all is allowed, with one that cannot be had nothing."""
        origin = f"{url.scheme}://{url.netloc.decode()}"
        robots, asked_at = host.robots.get(origin, (None, now))
        if robots is None or now - asked_at > ROBOTS_KEPT:
            robots = await self._robots(host, url, now)
            host.robots[origin] = robots, now
        if not robots.can_fetch(str(url), PRODUCT):
            raise NotAllowed(f"robots.txt of {url.host} keeps us out of {url.path}")

    async def _robots(self, host: _Host, url: httpx.URL, now: datetime) -> Protego:
        at = url.copy_with(raw_path=ROBOTS.encode(), fragment=None)
        for _ in range(REDIRECTS_MOST + 1):
            self._judge(at)
            try:
                found = await self._ask(host, at, now, {}, ROBOTS_BYTES_MOST)
            except TooLarge as error:
                raise NotAllowed(f"robots.txt of {url.host} is endless") from error
            except Refused:
                return Protego.parse("")
            if isinstance(found, Page):
                return Protego.parse(found.body.decode("utf-8", "replace"))
            at = httpx.URL(found)
        return Protego.parse("")

    async def _ask(
        self, host: _Host, url: httpx.URL, now: datetime, headers: Mapping[str, str], bytes_most: int
    ) -> Page | str:
        told = {"User-Agent": self._manners.user_agent, "Accept-Encoding": "gzip", **headers}
        answer = await self._cached.handle_async_request(httpx.Request("GET", url, headers=told))
        try:
            if answer.status_code in REDIRECTS and "location" in answer.headers:
                return str(url.join(answer.headers["location"]))
            if answer.status_code != 200:
                raise _refusal(host, url, now, answer)
            body = await _unpacked(answer, bytes_most)
            status: CacheStatus = answer.extensions["caching"]
            is_cached = status["from_cache"] or status["revalidated"]
            return Page(str(url), body, answer.headers.get("content-type", ""), is_cached)
        finally:
            await answer.aclose()


@dataclass
class _Errand:
    """What is asked for, and for how many seconds we may still be under way."""

    now: datetime
    headers: Mapping[str, str]
    is_api: bool
    seconds_left: float

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        started = asyncio.get_running_loop().time()
        async with asyncio.timeout(max(0.0, self.seconds_left)):
            yield
        self.seconds_left -= asyncio.get_running_loop().time() - started


def _refusal(host: _Host, url: httpx.URL, now: datetime, answer: httpx.Response) -> WebError:
    """What a status that is no page means; a host that wants us to wait is remembered."""
    status, said = answer.status_code, f"{url.host} answered {answer.status_code}"
    after = answer.headers.get("retry-after")
    if status == 429 or (status == 503 and after):
        host.not_before = now + _wait(after, now)
        return Throttled(f"{said}, wait until {host.not_before:%H:%M:%S}", status=status, retry_at=host.not_before)
    return Failing(said, status=status) if status >= 500 else Refused(said, status=status)


class _Outward(httpx.AsyncBaseTransport):
    """Each request on a connection of its own, to addresses that everybody can reach; errors are httpcore's."""

    def __init__(self, manners: Manners) -> None:
        self._network = Network(manners.reach)
        self._tls = tls_context(None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        pool = httpcore.AsyncConnectionPool(self._tls, max_connections=1, network_backend=self._network)
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
        )
        try:
            answer = await pool.handle_async_request(asked)
        except BaseException:
            await pool.aclose()
            raise
        headers = httpx.Headers(answer.headers)
        if not _says_how_long(headers):
            kept = answer.status in (200, 404) and request.url.path == ROBOTS
            headers["cache-control"] = f"max-age={ROBOTS_KEPT.total_seconds():.0f}" if kept else "max-age=0"
        return httpx.Response(answer.status, headers=headers, stream=_Stream(answer, pool))


class _Stream(httpx.AsyncByteStream):
    """An answer as it comes; its connection ends with it."""

    def __init__(self, answer: httpcore.Response, pool: httpcore.AsyncConnectionPool) -> None:
        self._answer, self._pool = answer, pool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._answer.aiter_stream():
            yield piece

    async def aclose(self) -> None:
        await self._answer.aclose()
        await self._pool.aclose()


def _says_how_long(headers: httpx.Headers) -> bool:
    """Whether the server says how long its page is fresh: otherwise a cache may guess, up to a week."""
    said = headers.get("cache-control", "").lower()
    return "expires" in headers or any(word in said for word in ("max-age", "no-store", "no-cache", "private"))


async def _unpacked(answer: httpx.Response, most: int) -> bytes:
    """The body, unpacked piece by piece, so that a small one cannot become large before we look."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise Refused(f"sent as {encoding[:40]!r}, which we did not ask for")
    unpack = zlib.decompressobj(GZIP) if encoding.endswith("gzip") else None
    body = bytearray()
    async for piece in answer.aiter_raw():
        while piece:
            body += unpack.decompress(piece, PIECE_BYTES) if unpack else piece
            piece = unpack.unconsumed_tail if unpack else b""
            if len(body) > most:
                raise TooLarge(f"more than the {most:,} bytes that are read")
    if unpack and not unpack.eof:
        raise Unreachable("it broke off before all was unpacked")
    return bytes(body)


def _wait(retry_after: str | None, now: datetime) -> timedelta:
    """How long a server wants us to stay away, in seconds or until a date; bounded, and never nothing."""
    wait = RETRY_DEFAULT
    text = (retry_after or "").strip()
    if text.isdecimal():
        wait = timedelta(seconds=min(int(text[:9]), RETRY_MOST.total_seconds()))
    elif text:
        try:
            until = parsedate_to_datetime(text)
            wait = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
        except (ValueError, TypeError, OverflowError):
            wait = RETRY_DEFAULT
    return min(max(wait, timedelta(seconds=1)), RETRY_MOST)
