"""Repositories that gather stars at GitHub.

There is no specification, only the page. Two layouts are read: rows `article.Box-row` with the name in `h1` or `h2`,
and the one before the summer of 2019, `ol.repo-list > li` with the name in `h3`.
"""

import re

from bs4 import Tag

from blocks.documents import one_line
from blocks.html_rows import Piece, page_text, pieces, text_of, value
from blocks.trend_sources.pages import HTML, NAME_CHARACTERS_MOST, count_in_words, judged, unread
from blocks.trend_sources.source import Address, Observation, Reading, TrendSource

REPOSITORY = re.compile(r"(?:https://github\.com)?/([A-Za-z0-9][A-Za-z0-9-]{0,100})/([A-Za-z0-9._-]{1,100})/?")
GAINED = re.compile(r"(\d[\d.,]*[kKmM]?)\s+stars?\s+(today|this\s+week|this\s+month)")
NOTHING = "have any trending repositories"


def source() -> TrendSource:
    """The repositories of today."""
    address = Address("https://github.com/trending?since=daily", HTML)
    return TrendSource("github_trending", "daily", "html", parse, lambda _: (address,), every_minutes=60)


def parse(page: bytes) -> Reading:
    """Repositories in GitHub's order, named owner/name; volume is the stars gained, headline what they are about."""
    text = page_text(page)
    if text is None:
        return unread(page, f"{len(page):,} bytes are too many")
    rows = list(pieces(text, "article", "Box-row")) or _older(text)
    if not rows:
        if NOTHING in text:
            return judged((), 0, "repositories")
        return unread(page, "no rows of repositories")
    observations: list[Observation] = []
    for row in rows:
        repository = _repository(row.element, len(observations) + 1)
        if repository:
            observations.append(repository)
    return judged(observations, len(rows), "repositories", all(row.complete for row in rows))


def _older(text: str) -> list[Piece]:
    at = text.find("repo-list")
    return list(pieces(text, "li", "width-full", at)) if at >= 0 else []


def _repository(row: Tag, rank: int) -> Observation | None:
    heading = row.find(["h1", "h2", "h3"])
    link = heading.find("a") if isinstance(heading, Tag) else None
    found = REPOSITORY.fullmatch(value(link, "href").strip()) if isinstance(link, Tag) else None
    if found is None:
        return None
    gained = GAINED.search(text_of(row))
    volume, bound = count_in_words(gained[1]) if gained else (None, "exact")
    about = row.find("p")
    return Observation(
        f"{found[1]}/{found[2]}",
        rank,
        "topic",
        volume,
        "stars " + " ".join(gained[2].split()) if gained else None,
        bound,
        url=f"https://github.com/{found[1]}/{found[2]}",
        headline=one_line(text_of(about), NAME_CHARACTERS_MOST) or None if isinstance(about, Tag) else None,
    )
