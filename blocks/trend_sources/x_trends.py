"""What X shows as trending at a place; asked by X's own client and paid, so this is about its answer alone.

Source: X API v2, GET /2/trends/by/woeid, OpenAPI document 2.167; and what trends/place of v1.1 answered before.
"""

from typing import Any

from blocks.documents import UnreadableError, json_document, named, web_address
from blocks.trend_sources.pages import count, count_in_words, judged, unread
from blocks.trend_sources.source import Observation, Reading, TrendSource

UNIT = "posts"


def source(woeid: int) -> TrendSource:
    """The trends of a place, by its Where On Earth id."""
    return TrendSource("x_trends", str(woeid), "x", parse)


def parse(page: bytes) -> Reading:
    """Trends in X's order; the count is missing for many of them."""
    try:
        document = json_document(page)
    except UnreadableError as error:
        return unread(page, str(error))
    if isinstance(document, dict) and "data" not in document:
        return _without_data(page, document)
    if isinstance(document, list):
        place = document[0] if document and isinstance(document[0], dict) else {}
        rows = place.get("trends")
    else:
        rows = document.get("data") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        return unread(page, "no list of trends")
    observations: list[Observation] = []
    for row in rows:
        found = _trend(row, len(observations) + 1) if isinstance(row, dict) else None
        if found:
            observations.append(found)
    return judged(observations, len(rows), "trends")


def _without_data(page: bytes, document: dict[str, Any]) -> Reading:
    errors = document.get("errors")
    if isinstance(errors, list) or isinstance(document.get("title"), str):
        said = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else document
        words = named(said.get("detail")) or named(said.get("message")) or named(said.get("title"))
        return Reading("blocked", f"X says {words!r}")
    meta = document.get("meta")
    if isinstance(meta, dict) and meta.get("result_count") == 0:
        return judged((), 0, "trends")
    return unread(page, "no list of trends")


def _trend(row: dict[str, Any], rank: int) -> Observation | None:
    name = named(row.get("trend_name"))
    if name:
        told = row.get("post_count", row.get("tweet_count"))
    else:
        name, told = named(row.get("name")), row.get("tweet_volume")
        if not name or "tweet_volume" not in row:
            return None
    volume = count(told)
    if volume is None and isinstance(told, str):
        volume, _ = count_in_words(told)
    return Observation(
        name,
        rank,
        "tag" if name.startswith(("#", "\uff03")) else "topic",
        volume,
        UNIT,
        url=web_address(row.get("url")),
        promoted=row.get("promoted_content") is not None,
    )
