"""The sources that the settings switch on."""

from blocks.trend_sources import (
    github_trending,
    google_trends,
    hacker_news,
    mastodon,
    news_feed,
    trends24,
    wikipedia_top,
    x_trends,
)
from blocks.trend_sources.source import TrendSource
from config.settings import TrendSources


def sources(of: TrendSources) -> tuple[TrendSource, ...]:
    """Each page that is to be read, in the order of the settings; no two have the same key."""
    found = [
        *(google_trends.source(geo) for geo in _each(of.google_geos)),
        *(mastodon.tags(instance) for instance in _each(of.mastodon_instances)),
        *(mastodon.links(instance) for instance in _each(of.mastodon_instances)),
        *([hacker_news.source()] if of.hacker_news else []),
        *(wikipedia_top.source(language) for language in _each(of.wikipedia_languages)),
        *(news_feed.source(url) for url in of.news_feeds.split()),
        *([github_trending.source()] if of.github_trending else []),
        *(trends24.source(place) for place in _each(of.trends24_places)),
        *(x_trends.source(int(woeid)) for woeid in _each(of.x_woeids)),
    ]
    return tuple({source.key: source for source in found}.values())


def _each(listed: str) -> list[str]:
    return [one for one in (part.strip() for part in listed.split(",")) if one]
