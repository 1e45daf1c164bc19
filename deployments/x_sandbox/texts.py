"""What X does to a text: how long it counts, how it is stored, how it is given out."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from twitter_text import extract_urls_with_indices, parse_tweet

LENGTH_MAX = 280
URL_LENGTH = 23
DISPLAY_URL_LENGTH = 27
SHORT_CODE_LENGTH = 10
SINGLE_WEIGHT_LAST = "\u10ff"
"""Up to here every character weighs one; above it some weigh two."""

_PERHAPS_URL = re.compile(r"[^\s.]\.[^\W\d_]")
_REFUSED = re.compile("[\ufffe\ufeff\uffff]")
_MARKS = re.compile(
    r"(?<![\w&/])(?:[#＃](?P<hashtag>\w*[^\W\d]\w*)|[@＠](?P<mention>[A-Za-z0-9_]{1,15})\b|\$(?P<cashtag>[A-Za-z]{1,6})\b)"
)
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class Shown:
    """A text as X gives it out: escaped, links shortened, entities by code point."""

    text: str
    entities: dict[str, list[dict[str, Any]]]


def stored(text: str) -> str:
    """A text as X keeps and compares it."""
    return unicodedata.normalize("NFC", text).strip()


def fits(text: str) -> bool:
    """Whether X's weighted length of the text is 1 to 280 and no character in it is refused.

    The full count costs more than the rest of a create, so it runs only where a generous estimate says it may fail.
    """
    text = stored(text)
    if not text or _REFUSED.search(text):
        return False
    weight = 1 if max(text) <= SINGLE_WEIGHT_LAST else 2
    if weight * len(text) + URL_LENGTH * len(_PERHAPS_URL.findall(text)) <= LENGTH_MAX:
        return True
    return bool(parse_tweet(text).valid)


def has_link(text: str) -> bool:
    """Whether X would find a link in the text."""
    return bool(_PERHAPS_URL.search(text)) and bool(extract_urls_with_indices(text))


def shown(text: str, post_id: int) -> Shown:
    """What X gives out for a stored text; the short links follow from the post's id, so every read agrees."""
    found = extract_urls_with_indices(text) if _PERHAPS_URL.search(text) else []
    parts: list[str] = []
    urls: list[dict[str, Any]] = []
    length = done = 0
    for number, link in enumerate(found):
        start, end = link["indices"]
        before = text[done:start].translate(_ESCAPES)
        short = _short_link(post_id, number)
        length += len(before)
        urls.append(_link(short, link["url"], length))
        parts += [before, short]
        length += len(short)
        done = end
    parts.append(text[done:].translate(_ESCAPES))
    whole = "".join(parts)
    return Shown(whole, {**({"urls": urls} if urls else {}), **_marks(whole, urls)})


def _short_link(post_id: int, number: int) -> str:
    digest = hashlib.sha256(f"{post_id}:{number}".encode()).hexdigest()
    return f"https://t.co/{digest[:SHORT_CODE_LENGTH]}"


def _link(short: str, written: str, start: int) -> dict[str, Any]:
    address = written if re.match(r"https?://", written, re.IGNORECASE) else f"http://{written}"
    display = re.sub(r"^https?://(www\.)?", "", address, flags=re.IGNORECASE)
    if len(display) > DISPLAY_URL_LENGTH:
        display = display[: DISPLAY_URL_LENGTH - 1] + "…"
    return {"start": start, "end": start + len(short), "url": short, "expanded_url": address, "display_url": display}


def _marks(whole: str, urls: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for mark in _MARKS.finditer(whole):
        start, end = mark.span()
        if any(url["start"] <= start < url["end"] for url in urls):
            continue
        kind = mark.lastgroup or ""
        label = "username" if kind == "mention" else "tag"
        found.setdefault(f"{kind}s", []).append({"start": start, "end": end, label: mark[kind]})
    return found
