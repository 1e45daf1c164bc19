"""Pieces of an HTML page, each parsed by itself, so that a page of any size and depth costs little.

The page as a whole is only searched for where pieces begin; attributes may stand without quotes, end tags be missing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bs4 import BeautifulSoup, Tag

HTML_BYTES_MOST = 10_000_000
PIECES_MOST = 100
PIECE_CHARACTERS_MOST = 60_000
PARSED_CHARACTERS_MOST = 1_500_000
TAG_CHARACTERS_MOST = 2000


@dataclass(frozen=True)
class Piece:
    """One element with all inside it, and where it begins; one without its end is not `complete`."""

    element: Tag
    at: int
    complete: bool


def page_text(page: bytes) -> str | None:
    """The page's text, which is in UTF-8 wherever we read HTML; None for one that is too long."""
    return page.decode("utf-8", "replace") if len(page) <= HTML_BYTES_MOST else None


def pieces(page: str, name: str, wanted: str, after: int = 0) -> Iterator[Piece]:
    """The elements of this name that have the wanted class, from a place on."""
    begin, end = f"<{name}", re.compile(rf"</{name}\s*>", re.IGNORECASE)
    at, left = after, PARSED_CHARACTERS_MOST
    for _ in range(PIECES_MOST):
        said = page.find(wanted, at)
        while said >= 0 and page.rfind(begin, max(at, said - TAG_CHARACTERS_MOST), said) < 0:
            said = page.find(wanted, said + 1)
        if said < 0 or left <= 0:
            return
        start = page.rfind(begin, max(at, said - TAG_CHARACTERS_MOST), said)
        most = said + min(PIECE_CHARACTERS_MOST, left)
        stop = end.search(page, said, most)
        at = stop.end() if stop else min(most, len(page))
        left -= at - start
        element = BeautifulSoup(page[start:at], "lxml").find(name)
        if isinstance(element, Tag) and wanted in classes(element):
            yield Piece(element, start, stop is not None)


def text_of(element: Tag | None) -> str:
    """All its text."""
    return element.get_text(" ", strip=True) if element else ""


def value(element: Tag | None, name: str) -> str:
    """An attribute, or nothing."""
    found = element.get(name) if element else None
    return found if isinstance(found, str) else ""


def classes(element: Tag) -> list[str]:
    """Its classes."""
    found = element.get("class")
    return [str(each) for each in found] if isinstance(found, list) else str(found or "").split()
