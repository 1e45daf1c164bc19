"""Pages of sources of trends: asked for by the polite way out, and what comes of it told in a sentence."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import version

import httpcore

from blocks.tls import tls_context
from blocks.trend_sources.source import Address
from blocks.web import Network, NotPublicError, Reach
from tasks.connections import Connections

PORTS = (80, 443)


@dataclass(frozen=True)
class Unreachable:
    """A page was not had, and why; not before `retry_at`, where the other side said so."""

    reason: str
    retry_at: datetime | None = None


@dataclass
class Hosts:
    """Who is being asked: one page of a host at a time."""

    asking: Mapping[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))


async def fetch(at: Connections, address: Address, now: datetime) -> bytes | Unreachable:
    """A page, or why there is none; `now` is what a wait that is asked for is counted from."""
    settings = at.places.settings.trend_sources
    url = httpcore.URL(address.url)
    host = url.host.decode()
    allowed = frozenset(filter(None, (one.strip().lower() for one in settings.private_hosts.split(","))))
    headers = {
        "Host": host if url.port is None else f"{host}:{url.port}",
        "User-Agent": f"ViveSphere-Bot-Manager/{version('vivesphere')} ({settings.contact})",
        "Accept-Encoding": "identity",
        **address.headers,
    }
    try:
        async with (
            at.kept(Hosts, Hosts).asking[host],
            asyncio.timeout(settings.page_seconds),
            httpcore.AsyncConnectionPool(tls_context(None), network_backend=Network(Reach(PORTS, allowed))) as pool,
            pool.stream("GET", url, headers=list(headers.items())) as answer,
        ):
            if answer.status != 200:
                return _refused(answer, now)
            page = bytearray()
            async for part in answer.aiter_stream():
                page += part
                if len(page) > settings.page_bytes:
                    return Unreachable(f"its page is larger than {settings.page_bytes:,} bytes")
            return bytes(page)
    except TimeoutError:
        return Unreachable(f"no whole page within {settings.page_seconds:g} s")
    except NotPublicError as error:
        return Unreachable(str(error))
    except (OSError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        return Unreachable(f"no connection ({type(error).__name__})")


def _refused(answer: httpcore.Response, now: datetime) -> Unreachable:
    told = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
    if 300 <= answer.status < 400:
        return Unreachable(f"it answered {answer.status} and sends us elsewhere, where we do not go unasked")
    return Unreachable(f"it answered {answer.status}", _retry_at(told.get(b"retry-after", ""), now))


def _retry_at(said: str, now: datetime) -> datetime | None:
    """Retry-After in either form, a day at most."""
    if said.isdigit():
        return now + min(timedelta(seconds=int(said[:6])), timedelta(days=1))
    try:
        found = parsedate_to_datetime(said)
    except ValueError:
        return None
    return min(found, now + timedelta(days=1)) if found.tzinfo else None
