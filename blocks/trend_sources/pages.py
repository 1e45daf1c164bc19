"""What the parsers of all sources have in common: the verdict on a page, and counts as people write them."""

import html
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from blocks.documents import one_line
from blocks.trend_sources.source import Bound, Observation, Reading

ROWS_MOST = 1000
COUNT_MOST = 2**63 - 1
NAME_CHARACTERS_MOST = 300
RSS = {"Accept": "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8"}
JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html"}
# Of the rows that stand on a page so many must have been understood.
SHARE_READ_LEAST = 0.5

COUNT = re.compile(r"(\d{1,19}(?:[.,]\d{1,19}){0,6})(\s?)([^\W\d_]*)\s?(\+?)")
TIMES = {"k": 10**3, "thousand": 10**3, "m": 10**6, "mn": 10**6, "mln": 10**6, "million": 10**6} | {
    "b": 10**9,
    "bn": 10**9,
    "billion": 10**9,
}
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


def unread(page: bytes, reason: str) -> Reading:
    """The verdict on a page without rows: a refusal, or another page than expected."""
    closed = refusal(page)
    return Reading("blocked", closed) if closed else Reading("changed", reason)


def judged(observations: Sequence[Observation], stood: int, what: str, complete: bool = True) -> Reading:
    """The verdict on the expected page, of whose `stood` rows these were understood; one cut off has changed."""
    if not complete:
        return Reading("changed", f"the page breaks off after {stood} {what}", tuple(observations[:ROWS_MOST]))
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
    digits, space, word, plus = found.groups()
    times = TIMES.get(word.lower()) or (1 if space or not word else None)
    if times is None:
        return None, "exact"
    if times > 1 and re.fullmatch(r"\d+[.,]\d{1,2}", digits):
        number = round(float(digits.replace(",", ".")) * times)
    else:
        number = int(re.sub(r"[.,]", "", digits)) * times
    if number > COUNT_MOST:
        return None, "exact"
    if plus or re.search(r"over|more than", text, re.IGNORECASE):
        return number, "at_least"
    return number, "at_most" if re.search(r"under|less than|<", text, re.IGNORECASE) else "exact"
