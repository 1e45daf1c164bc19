"""What posting costs."""

from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from twitter_text import extract_urls


class Prices(BaseModel):
    """X's prices in US dollars a request, with where and when they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    read_on: date
    post_usd: Decimal
    post_with_url_usd: Decimal


def cost_usd(text: str, prices: Prices) -> Decimal:
    """Price of creating one post; a link in it makes it several times dearer."""
    return prices.post_with_url_usd if extract_urls(text) else prices.post_usd
