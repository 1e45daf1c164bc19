"""RSS and Atom: the bytes of a feed in, its entries out.

Sources: RSS 2.0 (rssboard.org/rss-specification) and its predecessors 0.9x, RSS 1.0 (web.resource.org/rss/1.0/spec),
Atom 1.0 (RFC 4287) and 0.3. Feeds that break these rules are read as far as they can be.
"""

import html
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs, urljoin, urlsplit

from blocks.documents import UnreadableError, language_tag, look, one_line, web_address
from blocks.xml_items import Field, Items, read_items

TITLE_CHARACTERS_MOST = 500
SUMMARY_CHARACTERS_MOST = 5000
MARKUP_CHARACTERS_MOST = 40_000
GUID_CHARACTERS_MOST = 1000
UNSEEN = re.compile(r"<(/?)(?:script|style)\b[^<>]*>", re.IGNORECASE)
MARKUP = re.compile(r"<[A-Za-z/!][^<>]*>")
BREAK = re.compile(r"<(?:br|p|div|li|tr|td|h[1-6]|blockquote)\b[^<>]*>|</(?:p|div|li|tr|h[1-6])>", re.IGNORECASE)
LITERAL = frozenset(("text", "text/plain", "xhtml", "application/xhtml+xml"))
ROOTS = frozenset(("rss", "rdf:RDF", "feed"))


@dataclass(frozen=True)
class Entry:
    """One entry as plain text. `guid` tells it from all others of its feed: its own, else its link, else its title.

    `link` is absolute and opens in a browser, or None. Times are in UTC; one without a zone is taken to be in UTC.
    """

    guid: str
    title: str
    link: str | None
    summary: str
    published_at: datetime | None
    updated_at: datetime | None
    language: str | None = None


@dataclass(frozen=True)
class Feed:
    """A feed. `stood` counts all its entries, also those that hold nothing; one that was cut off is not `complete`."""

    title: str
    link: str | None
    language: str | None
    updated_at: datetime | None
    entries: tuple[Entry, ...]
    stood: int
    complete: bool
    namespaces: frozenset[str]


def parse_feed(page: bytes) -> Feed:
    """The feed with its first 1,000 entries in their order; raises UnreadableError for what is no feed."""
    return feed_of(read_feed_items(page))


def read_feed_items(page: bytes) -> Items:
    """The same as elements, for feeds with a vocabulary of their own; raises UnreadableError for what is no feed."""
    found = read_items(page, ("item", "entry"))
    if found.root not in ROOTS or (found.root == "rdf:RDF" and not found.items and not found.head.inside):
        raise UnreadableError(f"not a feed, but {look(page)}")
    return found


def feed_of(found: Items) -> Feed:
    """What the elements mean."""
    head = found.head
    link = _link(head, None)
    language = language_tag(
        head.first("language", "dc:language") or head.attributes.get("xml:lang") or head.attributes.get("lang")
    )
    base = head.attributes.get("xml:base") or link
    entries = [_entry(item, base, language) for item in found.items]
    return Feed(
        plain(head.one("title"), TITLE_CHARACTERS_MOST, found.root == "feed"),
        link,
        language,
        when(head.first("updated", "modified", "lastBuildDate", "pubDate", "dc:date")),
        tuple(entry for entry in entries if entry is not None),
        len(found.items),
        found.complete,
        found.namespaces,
    )


def plain(found: Field | None, most: int, is_atom: bool) -> str:
    """An element's text in one line, without markup: Atom says whether there is any, in RSS it may be so."""
    if found is None:
        return ""
    text = found.text[:MARKUP_CHARACTERS_MOST]
    if is_atom and found.attributes.get("mode") != "escaped" and found.attributes.get("type", "text") in LITERAL:
        return one_line(text.replace("&#38;", "&"), most)
    if "<" in text:
        text = MARKUP.sub("", BREAK.sub(" ", _seen(text)))
    return one_line(html.unescape(text), most)


def _seen(text: str) -> str:
    """What stands in no script and no style."""
    seen: list[str] = []
    inside, at = False, 0
    for mark in UNSEEN.finditer(text):
        if not inside:
            seen.append(text[at : mark.start()])
        inside, at = not mark[1], mark.end()
    return " ".join(seen if inside else [*seen, text[at:]])


def when(text: str) -> datetime | None:
    """A time as RFC 822 or ISO 8601 write it; None for what is none."""
    text = " ".join(text[:100].split())
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text) if text[:4].isdecimal() else parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _entry(item: Field, base: str | None, language: str | None) -> Entry | None:
    base = item.attributes.get("xml:base") or base
    is_atom = item.name == "entry"
    title = plain(item.one("title", "dc:title"), TITLE_CHARACTERS_MOST, is_atom)
    summary = plain(
        item.one("description", "summary", "content:encoded", "content", "dc:description"),
        SUMMARY_CHARACTERS_MOST,
        is_atom,
    )
    link = _link(item, base)
    own = item.first("guid", "id") or item.attributes.get("rdf:about", "")
    guid = one_line(own.replace("&#38;", "&"), GUID_CHARACTERS_MOST) or link or title
    if not guid or not (title or summary):
        return None
    return Entry(
        guid,
        title or summary[:TITLE_CHARACTERS_MOST],
        link,
        summary,
        when(item.first("pubDate", "published", "issued", "dc:date", "dc:created")),
        when(item.first("updated", "modified", "dc:modified")),
        language_tag(item.attributes.get("xml:lang") or item.first("dc:language")) or language,
    )


def _link(item: Field, base: str | None) -> str | None:
    """The page that a person would open."""
    for text in (item.first("feedburner:origLink"), *(each.text for each in item.all("link"))):
        if found := _absolute(text, base):
            return found
    references = [each.attributes for each in item.all("link") if each.attributes.get("href")]
    for wanted in ("alternate", "related"):
        fitting = [each for each in references if each.get("rel", "alternate") == wanted]
        fitting.sort(key=lambda each: "html" not in each.get("type", "html"))
        if found := next(filter(None, (_absolute(each["href"], base) for each in fitting)), None):
            return found
    for each in item.all("guid"):
        if each.attributes.get("isPermaLink", "true").lower() != "false" and (found := web_address(each.text)):
            return found
    return None


def _absolute(address: str, base: str | None) -> str | None:
    address = "".join(address.split()).replace("&#38;", "&")
    if not address:
        return None
    try:
        return web_address(_target(urljoin(base, address) if base else address))
    except ValueError:
        return None


def _target(address: str) -> str:
    """Where Google's own redirect leads, as its alerts have it."""
    parts = urlsplit(address)
    if parts.path != "/url" or not re.fullmatch(r"(?:www\.)?google\.[a-z.]{2,6}", parts.hostname or ""):
        return address
    asked = parse_qs(parts.query, max_num_fields=50)
    return next((asked[name][0] for name in ("url", "q") if name in asked), address)
