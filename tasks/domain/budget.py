"""What a request to X costs."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator
from twitter_text import extract_urls

Kind = Literal[
    "post",
    "post_with_url",
    "summoned_reply",
    "delete",
    "post_read",
    "user_read",
    "analytics_read",
    "counts",
    "trends",
]

# What each endpoint is billed by, for each thing that its answer brings.
KINDS: Mapping[str, Kind] = {
    "DELETE /2/tweets/{id}": "delete",
    "GET /2/tweets": "post_read",
    "GET /2/users/me": "user_read",
    "GET /2/users": "user_read",
    "GET /2/users/by": "user_read",
    "GET /2/users/{id}/tweets": "post_read",
    "GET /2/users/{id}/mentions": "post_read",
    "GET /2/tweets/counts/recent": "counts",
    "GET /2/tweets/analytics": "analytics_read",
    "GET /2/trends/by/woeid/{woeid}": "trends",
}

# Posts, and reads that can wait, leave this much of a month's money and of a window to the reads that find out what
# became of an unknown post.
KEPT_FOR_RECONCILIATION = Decimal("0.05")


class Prices(BaseModel):
    """X's prices in US dollars, with where and when they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    read_on: date
    usd: Mapping[Kind, Decimal]

    @field_validator("usd")
    @classmethod
    def _whole(cls, usd: Mapping[Kind, Decimal]) -> Mapping[Kind, Decimal]:
        if missing := set(Kind.__args__) - set(usd):  # type: ignore[attr-defined]
            raise ValueError(f"there is no price of {', '.join(sorted(missing))}")
        return usd


def kind_of_post(text: str) -> Kind:
    """What a post is billed as; a link in it makes it several times dearer.

    A reply to somebody who asked is cheaper, but X alone knows who asked: we count it as any other.
    """
    return "post_with_url" if extract_urls(text) else "post"


def cost_usd(text: str, prices: Prices) -> Decimal:
    """Price of creating one post."""
    return prices.usd[kind_of_post(text)]
