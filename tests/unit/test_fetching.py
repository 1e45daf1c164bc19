"""Pages of strangers over real connections: polite, bounded, and never into the house."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
import httpx
import pytest

from blocks.fetching import Manners, Page, Web
from blocks.trend_sources import google_trends
from blocks.web import NotPublicError, Reach
from blocks.web_errors import (
    KINDS,
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

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    told = {"Content-Length": str(len(body)), "Connection": "close"}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


@dataclass
class Peer:
    """A web server that says what a test lays on it, and remembers what it was asked."""

    pages: dict[str, bytes | Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0
    inside: int = 0
    inside_most: int = 0

    def url(self, path: str, host: str = "localhost") -> str:
        return f"http://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.inside += 1
        self.inside_most = max(self.inside, self.inside_most)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head)
            said = self.pages.get(head.split()[1], answer("404 Not Found"))
            if isinstance(said, bytes):
                writer.write(said)
                await writer.drain()
            else:
                await said(head, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.inside -= 1
            writer.close()

    @property
    def paths(self) -> list[str]:
        return [head.split()[1] for head in self.asked]


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    found = Peer()
    async with await asyncio.start_server(found.serve, "127.0.0.1", 0) as server:
        found.port = server.sockets[0].getsockname()[1]
        yield found


@dataclass
class Clock:
    now: datetime = NOW


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manners(tmp_path: Path) -> Manners:
    return Manners(
        contact="mailto:ops@city.example",
        seconds=20,
        bytes_most=300_000,
        cache=tmp_path / "web.db",
        reach=Reach((80, 443), {"localhost"}),
    )


@dataclass
class Visitor:
    """Who goes out, at the time that the test has."""

    web: Web
    clock: Clock

    async def get(self, url: str, headers: dict[str, str] | None = None, *, is_api: bool = False) -> Page:
        return await self.web.get(url, self.clock.now, headers or {}, is_api=is_api)


@asynccontextmanager
async def going_out(manners: Manners, clock: Clock) -> AsyncIterator[Visitor]:
    async with Web(manners) as web:
        yield Visitor(web, clock)


@pytest.fixture
async def web(manners: Manners, clock: Clock) -> AsyncIterator[Visitor]:
    async with going_out(manners, clock) as found:
        yield found


async def test_a_page_comes_unpacked_and_the_server_knows_who_asks(peer: Peer, web: Visitor) -> None:
    peer.pages["/feed?a=1"] = answer(
        "200 OK", gzip.compress(b"<rss/>"), Content_Encoding="gzip", Content_Type="text/xml"
    )
    page = await web.get(peer.url("/feed?a=1"), {"Accept": "application/rss+xml"})
    assert (page.body, page.content_type, page.is_cached) == (b"<rss/>", "text/xml", False)
    assert peer.paths == ["/robots.txt", "/feed?a=1"]
    assert "user-agent: vivesphere-bot-manager (mailto:ops@city.example)\r\n" in peer.asked[1].lower()
    assert "cookie" not in peer.asked[1].lower()


async def test_a_cookie_is_not_brought_back(peer: Peer, web: Visitor) -> None:
    peer.pages["/a"] = answer("200 OK", b"x", Set_Cookie="id=1", Cache_Control="no-store")
    await web.get(peer.url("/a"))
    await web.get(peer.url("/a"))
    assert "cookie" not in peer.asked[-1].lower()


async def drip(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(300):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.1)


BOMB = gzip.compress(bytes(50_000_000))
HOSTILE: list[tuple[str, bytes | Answer, type[WebError], str]] = [
    ("429", answer("429 Too Many Requests", Retry_After="120"), Throttled, "answered 429, wait until 12:02:00"),
    ("403", answer("403 Forbidden", b"<html>no"), Refused, "answered 403"),
    ("503 with a time", answer("503 Busy", Retry_After="Wed, 25 Nov 2026 12:05:00 GMT"), Throttled, "until 12:05:00"),
    ("500", answer("500 Oops"), Failing, "answered 500"),
    ("drip", drip, TooSlow, "not all of it came within"),
    ("bomb", answer("200 OK", BOMB, Content_Encoding="gzip"), TooLarge, "more than the 300,000 bytes"),
    ("endless", answer("200 OK", b"x" * 300_001), TooLarge, "more than the 300,000 bytes"),
    ("no gzip", answer("200 OK", b"plain", Content_Encoding="gzip"), Unreachable, "incorrect header"),
    ("brotli", answer("200 OK", b"x", Content_Encoding="br"), Refused, "did not ask for"),
    (
        "metadata",
        answer("302 Found", Location="http://169.254.169.254/latest/meta-data/"),
        NotAllowed,
        "public internet",
    ),
    ("this machine", answer("301 Moved", Location="http://127.0.0.1/admin"), NotAllowed, "public internet"),
    ("another port", answer("307 Temporary", Location="http://example.com:22/"), NotAllowed, "port 22"),
    ("a file", answer("302 Found", Location="file:///etc/passwd"), NotAllowed, "only http and https"),
    ("X's pages", answer("302 Found", Location="https://mobile.twitter.com/explore"), NotAllowed, "by its API alone"),
    ("a loop", answer("302 Found", Location="/page"), Refused, "redirects"),
    ("cut", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", Unreachable, "RemoteProtocolError"),
    ("no HTTP", b"220 mail.example ESMTP\r\n", Unreachable, "RemoteProtocolError"),
]


@pytest.mark.parametrize(("said", "kind", "reason"), [each[1:] for each in HOSTILE], ids=[each[0] for each in HOSTILE])
async def test_a_hostile_server_is_named_and_costs_little(
    peer: Peer, manners: Manners, clock: Clock, said: bytes | Answer, kind: type[WebError], reason: str
) -> None:
    peer.pages["/page"] = said
    async with going_out(replace(manners, seconds=0.7 if said is drip else 20), clock) as web:
        with pytest.raises(WebError, match=reason) as caught:
            await web.get(peer.url("/page"), is_api=True)
    assert type(caught.value) is kind


async def test_html_instead_of_a_feed_is_for_the_parser_to_name(peer: Peer, web: Visitor) -> None:
    peer.pages["/page"] = answer("200 OK", b"<!DOCTYPE html><title>Just a moment...</title>")
    page = await web.get(peer.url("/page"))
    assert google_trends.parse(page.body).verdict == "blocked"


async def test_a_host_that_asked_us_to_wait_is_not_asked_before(peer: Peer, web: Visitor, clock: Clock) -> None:
    peer.pages |= {"/a": answer("429 Too Many Requests", Retry_After="60"), "/b": answer("200 OK", b"b")}
    with pytest.raises(Throttled) as first:
        await web.get(peer.url("/a"), is_api=True)
    with pytest.raises(Throttled, match="asked us to wait") as second:
        await web.get(peer.url("/b"), is_api=True)
    assert first.value.retry_at == second.value.retry_at == NOW + timedelta(seconds=60)
    assert peer.paths == ["/a"]
    clock.now += timedelta(seconds=61)
    assert (await web.get(peer.url("/b"), is_api=True)).body == b"b"


async def test_a_host_has_one_request_in_flight_and_another_host_goes_on(
    peer: Peer, manners: Manners, clock: Clock
) -> None:
    free = asyncio.Event()

    async def slow(_: str, writer: asyncio.StreamWriter) -> None:
        await free.wait()
        writer.write(answer("200 OK", b"slow", Cache_Control="no-store"))
        await writer.drain()

    peer.pages |= {"/slow": slow, "/quick": answer("200 OK", b"quick")}
    reach = Reach((80, 443), {"localhost", "127.0.0.1"})
    async with going_out(replace(manners, reach=reach), clock) as web:
        same = [asyncio.create_task(web.get(peer.url("/slow"), is_api=True)) for _ in range(3)]
        other = await web.get(peer.url("/quick", "127.0.0.1"), is_api=True)
        assert other.body == b"quick"
        assert peer.inside_most <= 2
        free.set()
        assert [page.body for page in await asyncio.gather(*same)] == [b"slow"] * 3
    assert peer.inside_most <= 2


async def test_robots_keep_us_out_with_wildcards_and_are_asked_once_a_day(
    peer: Peer, web: Visitor, clock: Clock
) -> None:
    peer.pages |= {
        "/robots.txt": answer(
            "200 OK", b"User-agent: *\nDisallow: /*?private=\nDisallow: /x$\n", Cache_Control="no-store"
        ),
        "/feed": answer("200 OK", b"ok", Cache_Control="no-store"),
        "/x": answer("200 OK", b"no"),
    }
    assert (await web.get(peer.url("/feed"))).body == b"ok"
    for path in ("/feed?private=1", "/x"):
        with pytest.raises(NotAllowed, match="robots.txt of localhost keeps us out"):
            await web.get(peer.url(path))
    assert peer.paths == ["/robots.txt", "/feed"]
    clock.now += timedelta(hours=25)
    await web.get(peer.url("/feed"))
    assert peer.paths.count("/robots.txt") == 2


async def test_robots_that_cannot_be_had_keep_us_out_and_a_missing_one_does_not(peer: Peer, web: Visitor) -> None:
    peer.pages |= {"/robots.txt": answer("500 Oops"), "/a": answer("200 OK", b"a")}
    with pytest.raises(Failing):
        await web.get(peer.url("/a"))
    peer.pages["/robots.txt"] = answer("403 Forbidden")
    assert (await web.get(peer.url("/a"))).body == b"a"


async def test_a_redirect_is_judged_by_the_robots_of_where_it_leads(peer: Peer, web: Visitor) -> None:
    peer.pages |= {
        "/robots.txt": answer("200 OK", b"User-agent: *\nDisallow: /closed"),
        "/a": answer("302 Found", Location="/closed"),
    }
    with pytest.raises(NotAllowed, match="keeps us out of /closed"):
        await web.get(peer.url("/a"))


async def test_an_unchanged_page_is_not_sent_again_and_none_is_guessed_fresh(peer: Peer, web: Visitor) -> None:
    async def tagged(head: str, writer: asyncio.StreamWriter) -> None:
        same = 'if-none-match: "v1"' in head.lower()
        writer.write(
            answer("304 Not Modified", ETag='"v1"')
            if same
            else answer("200 OK", b"page", ETag='"v1"', Last_Modified="Sun, 25 Oct 2020 12:00:00 GMT")
        )
        await writer.drain()

    peer.pages["/a"] = tagged
    assert not (await web.get(peer.url("/a"), is_api=True)).is_cached
    again = await web.get(peer.url("/a"), is_api=True)
    assert (again.body, again.is_cached) == (b"page", True)
    assert len(peer.asked) == 2


async def test_a_page_that_is_said_to_be_fresh_is_not_asked_for(peer: Peer, manners: Manners, clock: Clock) -> None:
    peer.pages["/a"] = answer("200 OK", b"page", Cache_Control="max-age=600")
    for _ in range(2):
        async with going_out(manners, clock) as web:
            assert (await web.get(peer.url("/a"), is_api=True)).body == b"page"
    assert len(peer.asked) == 1


async def test_a_private_address_is_refused_before_anything_is_connected(
    peer: Peer, manners: Manners, clock: Clock
) -> None:
    async with going_out(replace(manners, reach=Reach((80, 443))), clock) as web:
        for url in (peer.url("/"), "http://[::ffff:10.0.0.1]/", "http://100.64.0.1/", "http://2130706433/"):
            with pytest.raises(NotAllowed):
                await web.get(url)
        for url in (
            "https://user@news.example/",
            "ftp://news.example/",
            "https://x.com/explore",
            "http:///",
            "x",
        ):
            with pytest.raises(NotAllowed):
                await web.get(url)
    assert not peer.asked


@pytest.mark.parametrize("library", [httpcore, httpx])
def test_every_error_of_the_library_below_has_its_place(library: object) -> None:
    named = [each for each in vars(library).values() if isinstance(each, type) and issubclass(each, Exception)]
    asked = [each for each in named if library is httpcore or each is httpx.InvalidURL]
    for each in asked:
        assert any(one in KINDS for one in each.__mro__), each
    for each in (NotPublicError("no"), TimeoutError(), ssl.SSLError("x"), ConnectionResetError("x")):
        assert isinstance(translate(each), WebError)


def test_a_page_says_where_it_came_from() -> None:
    assert Page("https://a.example/", b"", "", False).url == "https://a.example/"
