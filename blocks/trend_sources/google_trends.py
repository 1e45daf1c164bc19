"""What rises in Google's searches in a country, from the feed that trends.google.com offers.

The vocabulary `ht` has no specification and changed its address twice; `approx_traffic` ("200+", "20K+", "20,000+") is
a lower bound, and an item has several `news_item`.
"""

from blocks.documents import UnreadableError, web_address
from blocks.feeds import plain, read_feed_items, when
from blocks.trend_sources.pages import NAME_CHARACTERS_MOST, RSS, count_in_words, judged, unread
from blocks.trend_sources.source import Address, Observation, Reading, TrendSource
from blocks.xml_items import Field


def source(geo: str) -> TrendSource:
    """The searches of a country, by its two letters."""
    address = Address(f"https://trends.google.com/trending/rss?geo={geo}", RSS)
    return TrendSource("google_trends", geo, "rss", parse, lambda _: (address,))


def parse(page: bytes) -> Reading:
    """Searches in Google's order; volume is the lower bound of how often, headline the first news to each."""
    try:
        found = read_feed_items(page)
    except UnreadableError as error:
        return unread(page, str(error))
    if found.items and not any(item.one("ht:approx_traffic", "ht:news_item", "ht:picture") for item in found.items):
        return unread(page, "a feed, but not one of searches")
    if not found.items and not any("trends" in namespace for namespace in found.namespaces):
        return unread(page, "a feed without items, and not one of searches")
    observations: list[Observation] = []
    for item in found.items:
        query = _query(item, len(observations) + 1)
        if query:
            observations.append(query)
    return judged(observations, len(found.items), "searches", found.complete)


def _query(item: Field, rank: int) -> Observation | None:
    name = plain(item.one("title"), NAME_CHARACTERS_MOST, False)
    if not name:
        return None
    volume, _ = count_in_words(item.first("ht:approx_traffic"))
    news = next(iter(item.all("ht:news_item")), None)
    address = web_address(news.first("ht:news_item_url")) if news else None
    return Observation(
        name,
        rank,
        "query",
        volume,
        "searches",
        "exact" if volume is None else "at_least",
        url=address or web_address(item.first("link")),
        headline=plain(news.one("ht:news_item_title"), NAME_CHARACTERS_MOST, False) or None if news else None,
        published_at=when(item.first("pubDate")),
    )
