"""What a Mastodon instance shows as trending: hashtags and links.

Source: docs.joinmastodon.org/methods/trends, entities Tag and Trends::Link. Numbers are strings there, and the first
day of `history` is the running one in UTC, so its counts grow until midnight. The order is the instance's own score.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from blocks.documents import UnreadableError, json_document, language_tag, named, web_address, written_instant
from blocks.trend_sources.pages import JSON, count, judged, unread
from blocks.trend_sources.source import Address, Observation, Reading, TrendSource

UNIT = "uses since midnight UTC"


def tags(instance: str) -> TrendSource:
    """Hashtags; an instance shows at most 20."""
    return TrendSource("mastodon_tags", instance, "api", parse_tags, _address(instance, "tags"))


def links(instance: str) -> TrendSource:
    """Links that people share; an old story can trend."""
    return TrendSource("mastodon_links", instance, "api", parse_links, _address(instance, "links"))


def parse_tags(page: bytes) -> Reading:
    """Hashtags in the instance's order; volume is how often they were used today."""
    return _parse(page, "hashtags", _tag)


def parse_links(page: bytes) -> Reading:
    """Links in the instance's order, named by their title; volume is how often they were shared today."""
    return _parse(page, "links", _link)


def _address(instance: str, what: str) -> Callable[[datetime], tuple[Address]]:
    address = Address(f"https://{instance}/api/v1/trends/{what}?limit=20", JSON, is_api=True)
    return lambda _: (address,)


def _parse(page: bytes, what: str, read: Callable[[dict[str, Any], int], Observation | None]) -> Reading:
    try:
        document = json_document(page)
    except UnreadableError as error:
        return unread(page, str(error))
    if isinstance(document, dict) and isinstance(document.get("error"), str):
        return Reading("blocked", f"the instance says {named(document['error'])!r}")
    if not isinstance(document, list):
        return unread(page, f"not a list of {what}")
    observations: list[Observation] = []
    for entry in document:
        found = read(entry, len(observations) + 1) if isinstance(entry, dict) else None
        if found:
            observations.append(found)
    return judged(observations, len(document), what)


def _tag(entry: dict[str, Any], rank: int) -> Observation | None:
    name, url, history = named(entry.get("name")), web_address(entry.get("url")), entry.get("history")
    if not name or url is None or not isinstance(history, list):
        return None
    return Observation(name, rank, "tag", _uses(history), UNIT, url=url)


def _link(entry: dict[str, Any], rank: int) -> Observation | None:
    name, url, history = named(entry.get("title")), web_address(entry.get("url")), entry.get("history")
    if not name or url is None or not isinstance(history, list):
        return None
    return Observation(
        name,
        rank,
        "story",
        _uses(history),
        UNIT,
        url=url,
        language=language_tag(entry.get("language")),
        published_at=written_instant(entry.get("published_at")),
    )


def _uses(history: list[Any]) -> int | None:
    return count(history[0].get("uses")) if history and isinstance(history[0], dict) else None
