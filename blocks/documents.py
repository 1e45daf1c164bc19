"""From the bytes of strangers to documents and to text that may be stored and shown; in bounded time and memory."""

import json
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

HTML_PAGE = "an HTML page"
JSON_BYTES_MOST = 4_000_000
NAME_CHARACTERS_MOST = 300
URL_CHARACTERS_MOST = 2000
# They turn the direction of what follows on somebody's screen.
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class UnreadableError(Exception):
    """Not a document of the expected kind; says what it is instead."""


def json_document(page: bytes) -> Any:
    """What the JSON says; raises UnreadableError."""
    if len(page) > JSON_BYTES_MOST:
        raise UnreadableError(f"{len(page):,} bytes, of which at most {JSON_BYTES_MOST:,} are read")
    if not page.strip():
        raise UnreadableError("nothing was sent")
    try:
        return json.loads(page)
    except RecursionError:
        raise UnreadableError("JSON nested too deeply") from None
    except ValueError:
        raise UnreadableError(f"not JSON, but {look(page)}") from None


def look(page: bytes) -> str:
    """In a few words what somebody sent."""
    start = page[:2000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return HTML_PAGE
    if b"<rss" in start or b"<feed" in start or b"<rdf:rdf" in start:
        return "a feed"
    if start.startswith(b"<?xml"):
        return "another XML document"
    if start.startswith((b"{", b"[")):
        return "JSON, or the beginning of it"
    return "something else" if start else "nothing"


def one_line(text: str, most: int = NAME_CHARACTERS_MOST) -> str:
    """Text as it was written, in one line, without what no database takes and what would disturb a screen."""
    kept = "".join(
        " " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character
        for character in text[: most * 20]
        if character not in TURNING and not "\ud800" <= character <= "\udfff"
    )
    return " ".join(kept.split())[:most].rstrip()


def named(value: Any) -> str:
    """The text of a value that should be one; anything else is no name."""
    return one_line(value) if isinstance(value, str) else ""


def web_address(value: Any) -> str | None:
    """An address that a person can open; anything else is None."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not text.lower().startswith(("https://", "http://")) or len(text) > URL_CHARACTERS_MOST:
        return None
    return text if all(character.isprintable() and character != " " for character in text) else None


def instant(seconds: Any) -> datetime | None:
    """A time from the seconds since 1970; None for what is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def written_instant(text: Any) -> datetime | None:
    """A time from ISO 8601; None for what is none, and for one without its zone."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text.strip())
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def language_tag(value: Any) -> str | None:
    """The language of a BCP 47 tag, such as `pt` of `pt-BR`."""
    found = re.match(r"([A-Za-z]{2,3})(?:[-_]|$)", value.strip()) if isinstance(value, str) else None
    return found[1].lower() if found else None
