"""Feeds: entries of others that become posts of a bot, with nothing of theirs that acts by itself."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.domain.personas import Handle
from tasks.domain.templates import TEMPLATE_CHARACTERS_MAX, VALUE_CHARACTERS_MAX, Value, lint, render

SLOTS = ("title", "link", "summary", "published")
USUAL_TEMPLATE = "{{ title|truncate(200) }} {{ link }}"
# Said by others, these would call an account or join a topic in the bot's name.
_CALLS = re.compile(r"(?<!\w)[@#$\uff20\uff03\uff04](?=[^\W\d])")
# Joins emoji and letters of some scripts; all else that is not seen is taken out.
_JOINER = "\u200d"

UtmWord = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class Utm(BaseModel):
    """What links of a feed are marked with, so that its readers are counted where they arrive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: UtmWord = "x"
    medium: UtmWord = "social"
    campaign: UtmWord


class NewFeed(BaseModel):
    """A feed whose entries a bot posts: at most `cap_per_day` of them, each once, by its guid, as drafts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bot: Handle
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$", examples=["works"])]
    url: Annotated[str, Field(pattern=r"^https?://[^\s]{1,2000}$", examples=["https://city.example/works.xml"])]
    template: Annotated[str, Field(min_length=1, max_length=TEMPLATE_CHARACTERS_MAX)] = USUAL_TEMPLATE
    cap_per_day: Annotated[int, Field(ge=1, le=48)] = 3
    utm: Utm | None = None

    @model_validator(mode="after")
    def _says_what_it_is_about(self) -> Self:
        used = lint(self.template, set(SLOTS))
        if not used & {"title", "link", "summary"}:
            raise ValueError("the template says neither title nor link nor summary: each post would say the same")
        return self


@dataclass(frozen=True)
class FeedEntry:
    """One entry as it was read."""

    guid: str
    title: str
    link: str | None
    summary: str
    published_at: datetime | None


def text_of(entry: FeedEntry, template: str, utm: Utm | None) -> str:
    """The text of an entry's post; raises BadTemplateError."""
    values: dict[str, Value] = {
        "title": harmless(entry.title),
        "link": with_utm(entry.link, utm) if entry.link else "",
        "summary": harmless(entry.summary),
        "published": f"{entry.published_at:%Y-%m-%d}" if entry.published_at else "",
    }
    return render(template, values)


def harmless(text: str) -> str:
    """Words of others without what is not seen and without what calls accounts or joins topics."""
    seen = "".join(one for one in text if one == _JOINER or unicodedata.category(one) not in ("Cf", "Cc", "Cn", "Co"))
    return _CALLS.sub("", " ".join(seen.split()))[:VALUE_CHARACTERS_MAX]


def with_utm(link: str, utm: Utm | None) -> str:
    """A link with its marks; those that it bears already stay."""
    if utm is None:
        return link
    parts = urlsplit(link)
    standing = parse_qsl(parts.query, keep_blank_values=True)
    known = {name for name, _ in standing}
    added = [(name, word) for name, word in _marks(utm).items() if name not in known]
    query = "&".join(part for part in (parts.query, urlencode(added)) if part)
    return urlunsplit(parts._replace(query=query))


def _marks(utm: Utm) -> Mapping[str, str]:
    return {f"utm_{name}": word for name, word in utm.model_dump().items()}


def key_of(feed: str, guid: str) -> str:
    """Equal for one entry of one feed, and short."""
    return f"{feed}.{hashlib.sha256(guid.encode()).hexdigest()[:24]}"
