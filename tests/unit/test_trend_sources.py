"""Bytes in, a reading out: no page raises, and rubbish is never `ok`."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.trend_sources import google_trends, hacker_news, mastodon, news_feed, wikipedia_top, x_trends
from blocks.trend_sources.catalogue import sources
from blocks.trend_sources.source import Reading
from config.settings import TrendSources

PARSERS: dict[str, Callable[[bytes], Reading]] = {
    "google_trends": google_trends.parse,
    "news_feed": news_feed.parse,
    "mastodon_tags": mastodon.parse_tags,
    "mastodon_links": mastodon.parse_links,
    "hacker_news": hacker_news.parse,
    "wikipedia_top": wikipedia_top.parse,
    "x_trends": x_trends.parse,
}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=60)
@given(page=st.binary(max_size=400) | ANY_JSON.map(lambda document: json.dumps(document).encode()))
def test_no_page_raises_and_rubbish_is_never_ok(name: str, page: bytes) -> None:
    assert PARSERS[name](page).verdict != "ok"


def test_the_catalogue_holds_what_the_settings_switch_on() -> None:
    some = TrendSources(
        mastodon_instances="mastodon.social",
        hacker_news=False,
        wikipedia_languages="tr",
        google_geos="TR, US",
        news_feeds="https://n.example/rss.xml",
        x_woeids="1",
    )
    keys = {source.key for source in sources(some)}
    assert keys == {
        "mastodon_tags:mastodon.social",
        "mastodon_links:mastodon.social",
        "google_trends:TR",
        "google_trends:US",
        "news_feed:n.example/rss.xml",
        "wikipedia_top:tr",
        "x_trends:1",
    }


def test_the_day_before_is_asked_for_where_yesterday_is_not_counted_yet() -> None:
    now = datetime(2026, 3, 1, 1, tzinfo=UTC)
    urls = [address.url for address in wikipedia_top.source("tr").addresses(now)]
    assert [url[-10:] for url in urls] == ["2026/02/28", "2026/02/27"]


def test_a_story_of_years_ago_is_no_trend_and_the_ranks_close_up() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    page = json.dumps(
        {
            "hits": [
                {"objectID": "1", "title": "Old", "points": 3, "created_at_i": 1_700_000_000},
                {"objectID": "2", "title": "New", "points": None, "created_at_i": int(now.timestamp()) - 3600},
            ]
        }
    ).encode()
    [story] = hacker_news.source().read(page, now).observations
    assert (story.name, story.rank, story.volume) == ("New", 1, None)
    assert story.url == "https://news.ycombinator.com/item?id=2"
