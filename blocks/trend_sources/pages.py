"""What the parsers of all sources have in common: bytes to a document, text to a name, and the verdict on a page."""

import html
import json
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from blocks.trend_sources.source import Bound, Observation, Reading

JSON_BYTES_MOST = 4_000_000
ROWS_MOST = 1000
NAME_CHARACTERS_MOST = 300
URL_CHARACTERS_MOST = 2000
COUNT_MOST = 2**63 - 1
# Of the rows that stand on a page so many must have been understood.
SHARE_READ_LEAST = 0.5

# They turn the direction of what follows on somebody's screen.
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
COUNT = re.compile(r"(\d+(?:[.,]\d+)*)\s*(k|m|b|thousand|million|billion|mil|mln|mn|bn)?\b\s*(\+)?", re.IGNORECASE)
TIMES = {"k": 10**3, "t": 10**3, "m": 10**6, "b": 10**9}
# Titles and marks of pages that keep programs out. Kept narrow: trends are about everything, outages and robots too.
CLOSED_TITLE = re.compile(
    r"just a moment|attention required|access (?:to this page )?(?:has been |is )?denied|^\W*blocked\W*$|forbidden"
    r"|too many requests|rate limit|verify (?:that )?you are (?:a )?human|are you a robot|unusual traffic|captcha"
    r"|security check|checking your browser|before you continue|please wait|sign in|log ?in|whoa there"
    r"|service unavailable|request (?:was |has been )?(?:blocked|rejected)|\b(?:403|429|503)\b",
    re.IGNORECASE,
)
CLOSED_MARK = re.compile(
    rb"/cdn-cgi/challenge-platform/|cf-chl-|_cf_chl_opt|consent\.google\.com|consent\.youtube\.com|px-captcha|captcha-delivery\.com"
    rb"|unusual traffic from your computer network|Request unsuccessful\. Incapsula|blocked due to a network policy"
    rb"|/sorry/index|awswaf|Reference&#32;&#35;",
    re.IGNORECASE,
)
TITLE = re.compile(rb"<(title|h1)\b[^>]{0,500}>([^<]{0,500})", re.IGNORECASE)
LOOKED_AT_BYTES = 60_000


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


def unread(page: bytes, reason: str) -> Reading:
    """The verdict on a page without rows: a refusal, or another page than expected."""
    closed = refusal(page)
    return Reading("blocked", closed) if closed else Reading("changed", reason)


def judged(observations: Sequence[Observation], stood: int, what: str) -> Reading:
    """The verdict on the expected page, of whose `stood` rows these were understood."""
    if not stood:
        return Reading("empty", f"the page holds no {what}")
    kept = tuple(observations[:ROWS_MOST])
    if len(observations) < stood * SHARE_READ_LEAST:
        return Reading("changed", f"of {stood} {what} {len(observations) or 'none'} could be read", kept)
    return Reading("ok", f"{len(kept)} of {stood} {what}", kept)


def refusal(page: bytes) -> str | None:
    """How the page says that we may not come in, if that is what it says."""
    start = page[:LOOKED_AT_BYTES]
    for match in TITLE.finditer(start):
        said = html.unescape(match[2].decode("utf-8", "replace"))
        if CLOSED_TITLE.search(said.strip()):
            return f"a page that keeps programs out: {one_line(said, 80)!r}"
    if CLOSED_MARK.search(start):
        return "a page that keeps programs out, known by its marks"
    return None


def look(page: bytes) -> str:
    """In a few words what somebody sent."""
    start = page[:2000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
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


def count(value: Any) -> int | None:
    """A count, from a number or its digits; what is no count is None, never 0."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if isinstance(value, str):
        digits = value.strip()
        value = int(digits) if digits.isdecimal() and len(digits) <= 19 else None
    return value if isinstance(value, int) and 0 <= value <= COUNT_MOST else None


def count_in_words(text: str) -> tuple[int | None, Bound]:
    """The count that people read: "20,000+", "1.2M", "Under 10K", "42K posts"."""
    found = COUNT.search(unicodedata.normalize("NFKC", text[:100]))
    if found is None:
        return None, "exact"
    digits, word, plus = found[1], found[2], found[3]
    times = TIMES[word[0].lower()] if word else 1
    if word and re.fullmatch(r"\d+[.,]\d{1,2}", digits):
        number = round(float(digits.replace(",", ".")) * times)
    else:
        number = int(re.sub(r"[.,]", "", digits)[:19]) * times
    if number > COUNT_MOST:
        return None, "exact"
    if plus or re.search(r"over|more than", text, re.IGNORECASE):
        return number, "at_least"
    return number, "at_most" if re.search(r"under|less than|<", text, re.IGNORECASE) else "exact"


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
