"""Trends of X as trends24.in lists them by the hour, for places that nobody pays X for.

There is no specification, only the page: `h3.title[data-timestamp]` above each `ol.trend-card__list`, the newest first;
attributes mostly stand without quotes, and most counts are missing.
"""

import re

from bs4 import Tag

from blocks.documents import named, web_address
from blocks.html_rows import Piece, page_text, pieces, text_of, value
from blocks.trend_sources.pages import HTML, count, count_in_words, judged, unread
from blocks.trend_sources.source import Address, Bound, Observation, Reading, TrendSource

STAMP = re.compile(r"data-timestamp\s*=\s*[\"']?(\d{9,11})")
BEFORE_CHARACTERS = 1000


def source(place: str) -> TrendSource:
    """A place by its name at trends24, such as `turkey` or `united-states`; `worldwide` for all."""
    address = Address("https://trends24.in/" + ("" if place == "worldwide" else f"{place}/"), HTML)
    return TrendSource("trends24", place, "html", parse, lambda _: (address,), every_minutes=60)


def parse(page: bytes) -> Reading:
    """The newest list of the page, in its order; volume is the number of posts where it is told."""
    text = page_text(page)
    if text is None:
        return unread(page, f"{len(page):,} bytes are too many")
    lists = list(pieces(text, "ol", "trend-card__list"))
    if not lists:
        return unread(page, "no list of trends")
    newest = max(lists, key=lambda each: _stamp(text, each))
    rows = [row for row in newest.element.find_all("li") if isinstance(row, Tag)]
    observations: list[Observation] = []
    for row in rows:
        trend = _trend(row, len(observations) + 1)
        if trend:
            observations.append(trend)
    return judged(observations, len(rows), "trends", newest.complete)


def _stamp(text: str, found: Piece) -> int:
    """When the list was made; the first of those without a time comes first."""
    stamps = STAMP.findall(text, max(0, found.at - BEFORE_CHARACTERS), found.at)
    return int(stamps[-1]) if stamps else 0


def _trend(row: Tag, rank: int) -> Observation | None:
    link = row.find("a")
    name = named(text_of(link)) if isinstance(link, Tag) else ""
    if not name:
        return None
    counted = row.find(class_="tweet-count")
    volume: int | None = None
    bound: Bound = "exact"
    if isinstance(counted, Tag):
        volume = count(value(counted, "data-count"))
        if volume is None:
            volume, bound = count_in_words(text_of(counted))
    return Observation(
        name,
        rank,
        "tag" if name.startswith(("#", "\uff03")) else "topic",
        volume,
        "posts",
        bound,
        url=web_address(value(link, "href")),
    )
