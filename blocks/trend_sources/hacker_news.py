"""The front page of Hacker News, as hn.algolia.com gives it.

Source: hn.algolia.com/api. `url` is missing where a story has only its discussion; a search may return stories that are
years old, hence `fresh_hours`.
"""

from blocks.documents import UnreadableError, instant, json_document, named, web_address
from blocks.trend_sources.pages import JSON, count, judged, unread
from blocks.trend_sources.source import Address, Observation, Reading, TrendSource

ADDRESS = Address(
    "https://hn.algolia.com/api/v1/search?tags=front_page&hitsPerPage=100&attributesToHighlight=",
    JSON,
    is_api=True,
)


def source() -> TrendSource:
    """Stories that are on the front page now."""
    return TrendSource("hacker_news", "front_page", "api", parse, lambda _: (ADDRESS,), fresh_hours=72)


def parse(page: bytes) -> Reading:
    """Stories in the order of the answer; volume is their points."""
    try:
        document = json_document(page)
    except UnreadableError as error:
        return unread(page, str(error))
    hits = document.get("hits") if isinstance(document, dict) else None
    if not isinstance(hits, list):
        if isinstance(document, dict) and document.get("status") in (403, 429):
            return Reading("blocked", f"it says {named(document.get('message'))!r}")
        return unread(page, "no list of stories")
    observations: list[Observation] = []
    for hit in hits:
        found = _story(hit, len(observations) + 1) if isinstance(hit, dict) else None
        if found:
            observations.append(found)
    return judged(observations, len(hits), "stories")


def _story(hit: dict[str, object], rank: int) -> Observation | None:
    name, item = named(hit.get("title")), count(hit.get("objectID"))
    if not name or item is None:
        return None
    return Observation(
        name,
        rank,
        "story",
        count(hit.get("points")),
        "points",
        url=web_address(hit.get("url")) or f"https://news.ycombinator.com/item?id={item}",
        published_at=instant(hit.get("created_at_i")),
    )
