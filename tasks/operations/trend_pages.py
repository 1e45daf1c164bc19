"""Pages of sources of trends: asked for by the polite way out, and what comes of it told in a sentence."""

from dataclasses import dataclass
from datetime import datetime

from blocks.fetching import Manners, Web
from blocks.trend_sources.source import Address
from blocks.web_errors import WebError
from tasks.connections import Connections


@dataclass(frozen=True)
class Unreachable:
    """A page was not had, and why; not before `retry_at`, where the other side said so."""

    reason: str
    retry_at: datetime | None = None


async def fetch(at: Connections, address: Address, now: datetime) -> bytes | Unreachable:
    """A page, or why there is none; `now` is what a wait that is asked for is counted from."""
    web = at.kept(Web, lambda: Web(Manners.of(at.places)))
    try:
        page = await web.get(address.url, now, address.headers, is_api=address.is_api)
    except WebError as error:
        return Unreachable(str(error), error.retry_at)
    return page.body
