"""The stories of a news site, from its RSS or Atom feed."""

from urllib.parse import urlsplit

from blocks.documents import UnreadableError
from blocks.feeds import Entry, Feed, parse_feed
from blocks.trend_sources.pages import NAME_CHARACTERS_MOST, RSS, judged, unread
from blocks.trend_sources.source import Address, Observation, Reading, TrendSource

PLACE_CHARACTERS_MOST = 120


def source(url: str) -> TrendSource:
    """One feed; stories of the last two days."""
    parts = urlsplit(url)
    place = f"{parts.netloc}{parts.path}{'?' if parts.query else ''}{parts.query}"[:PLACE_CHARACTERS_MOST]
    address = Address(url, RSS)
    return TrendSource("news_feed", place, "rss", parse, lambda _: (address,), fresh_hours=48)


def parse(page: bytes) -> Reading:
    """Stories in the feed's order; nothing is counted there."""
    try:
        feed = parse_feed(page)
    except UnreadableError as error:
        return unread(page, str(error))
    if other := _no_news(feed):
        return unread(page, other)
    observations = [_story(entry, rank) for rank, entry in enumerate(feed.entries, 1)]
    return judged(observations, feed.stood, "stories", feed.complete)


def _no_news(feed: Feed) -> str | None:
    """What else it is: searches are no stories, and what people share at Reddit is ordered by their votes."""
    if any("google.com/tren" in namespace or "trends.google" in namespace for namespace in feed.namespaces):
        return "a feed of searches, not of stories"
    if any(entry.guid.startswith("t3_") for entry in feed.entries):
        return "a listing of Reddit, not a feed of stories"
    return None


def _story(entry: Entry, rank: int) -> Observation:
    return Observation(
        entry.title[:NAME_CHARACTERS_MOST].rstrip(),
        rank,
        "story",
        url=entry.link,
        language=entry.language,
        published_at=entry.published_at or entry.updated_at,
    )
