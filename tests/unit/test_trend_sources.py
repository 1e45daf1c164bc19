"""Bytes in, a reading out: no page raises, rubbish is never `ok`, and no parser takes another's page for its own."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from blocks.trend_sources.catalogue import sources
from blocks.trend_sources.pages import count_in_words
from blocks.trend_sources.source import Observation, Reading
from config.settings import TrendSources

DATA = Path(__file__).parents[1] / "data" / "trends"
PARSERS: dict[str, Callable[[bytes], Reading]] = {
    "google_trends": google_trends.parse,
    "news_feed": news_feed.parse,
    "mastodon_tags": mastodon.parse_tags,
    "mastodon_links": mastodon.parse_links,
    "hacker_news": hacker_news.parse,
    "wikipedia_top": wikipedia_top.parse,
    "x_trends": x_trends.parse,
    "github_trending": github_trending.parse,
    "trends24": trends24.parse,
}
# Whose page it is, and how many rows stand on it.
PAGES = {
    "google_trends.xml": ("google_trends", 3),
    "google_trends_older.xml": ("google_trends", 1),
    "news_rss.xml": ("news_feed", 2),
    "news_atom.xml": ("news_feed", 1),
    "mastodon_tags.json": ("mastodon_tags", 10),
    "mastodon_links.json": ("mastodon_links", 3),
    "hacker_news.json": ("hacker_news", 3),
    "wikipedia_top.json": ("wikipedia_top", 487),
    "wikipedia_day.json": ("wikipedia_top", 3),
    "x_trends.json": ("x_trends", 4),
    "x_trends_v1.json": ("x_trends", 50),
    "github_trending.html": ("github_trending", 3),
    "github_developers.html": ("nobody", 0),
    "trends24.html": ("trends24", 4),
}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=20,
)
HOSTILE = {
    "deep JSON": b"[" * 1_000_000,
    "wide JSON": b"[" + b"{}," * 300_000 + b"{}]",
    "long number": b"[" + b"9" * 3_000_000 + b"]",
    "ten megabytes": b"<rss>" + b"x" * 9_999_000,
    "deep XML": b"<rss>" * 1_000_000,
    "deep HTML": b"<article class=Box-row><ol class=trend-card__list>" + b"<b>" * 100_000,
    "many rows": b"<article class=Box-row></article><ol class=trend-card__list></ol>" * 100_000,
    "many marks": b"Box-row trend-card__list " * 60_000,
    "zeros": bytes(5_000_000),
}
REFUSALS = [
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><div id=cf-wrapper></div></body></html>",
    b'<html><head><script src="/cdn-cgi/challenge-platform/h/b/orchestrate"></script></head></html>',
    b"<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>Reference&#32;&#35;18.2f</BODY></HTML>",
    b"<!doctype html><title>Blocked</title><h1>whoa there, pardner!</h1>",
    b'<html><head><meta http-equiv="refresh" content="0; url=https://consent.google.com/m?continue=x"></head></html>',
    b"<html><title>Sorry...</title><body>Our systems have detected unusual traffic from your computer network.</body>",
    b"<html><head><title>429 Too Many Requests</title></head><body><center>nginx</center></body></html>",
    b"<html><title>Sign in to GitHub</title><form action=/session></form></html>",
]


def read(name: str) -> Reading:
    return PARSERS[PAGES[name][0]]((DATA / name).read_bytes())


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", PARSERS)
def test_each_parser_takes_its_own_pages_and_no_others(name: str, page: str) -> None:
    owner, rows = PAGES[page]
    reading = PARSERS[name]((DATA / page).read_bytes())
    if owner == name:
        assert (reading.verdict, len(reading.observations)) == ("ok", rows)
        assert [each.rank for each in reading.observations] == [*range(1, rows + 1)]
    else:
        assert (reading.verdict, reading.observations) == ("changed", ())
        assert reading.reason


def test_searches_have_lower_bounds_and_the_first_of_their_headlines() -> None:
    first, second, third = read("google_trends.xml").observations
    assert first == Observation(
        "istanbul vapur seferleri",
        1,
        "query",
        20_000,
        "searches",
        "at_least",
        url="https://haber.example/vapur?a=1&b=2",
        headline="Vapur seferleri iptal & ertelendi",
        published_at=datetime(2026, 11, 3, 13, 40, tzinfo=UTC),
    )
    assert (second.name, second.volume, second.headline) == ("فيري المدينة", 2_000_000, None)
    assert (third.name, third.volume, third.url) == ("night tram", None, None)
    [older] = read("google_trends_older.xml").observations
    assert (older.volume, older.headline) == (500_000, "Otters return")


def test_tags_and_links_count_the_running_day() -> None:
    tags = read("mastodon_tags.json").observations
    assert [(tag.name, tag.volume) for tag in tags[:2]] == [("caturday", 806), ("BakeryTVShowsAndPlays", 528)]
    assert {tag.unit for tag in tags} == {"uses since midnight UTC"}
    ferry, old, tram = read("mastodon_links.json").observations
    assert (ferry.name, ferry.volume, ferry.language, ferry.published_at) == ("Ferry back in service", 310, "pt", None)
    assert old.published_at == datetime(2026, 9, 20, 10, tzinfo=UTC)
    assert (tram.volume, tram.language) == (None, "de")


def test_a_story_without_an_address_is_its_discussion() -> None:
    first, second, third = read("hacker_news.json").observations
    assert (first.name, first.volume, first.url) == (
        "Show HN: A clock that tells tides",
        212,
        "https://tides.example/",
    )
    assert second.url == "https://news.ycombinator.com/item?id=46000002"
    assert (third.volume, third.unit) == (None, "points")


def test_articles_leave_out_main_pages_other_namespaces_and_robots_favourites() -> None:
    reading = wikipedia_top.source("tr").parse((DATA / "wikipedia_day.json").read_bytes())
    assert [(each.name, each.rank, each.volume) for each in reading.observations] == [
        ("Deniz samuru", 1, 41_000),
        ("Alien: Earth", 2, 30_500),
        ("İzmir", 3, 19_000),
    ]
    assert reading.observations[0].url == "https://tr.wikipedia.org/wiki/Deniz_samuru"
    names = {each.name for each in read("wikipedia_top.json").observations}
    assert "Deaths in 2025" in names
    assert not names & {"Main Page", ".xxx", "XXX", "Apple Network Server"}


def test_what_x_does_not_count_is_none_and_never_nothing() -> None:
    assert [(each.name, each.kind, each.volume) for each in read("x_trends.json").observations] == [
        ("#NightTram", "tag", 15_200),
        ("Sea Otter", "topic", None),
        ("深夜バス", "topic", None),
        ("Ferry", "topic", 1200),
    ]
    older = read("x_trends_v1.json").observations
    assert sum(each.volume is None for each in older) == 20
    assert not any(each.promoted for each in older)
    promoted = b'[{"trends": [{"name": "Buy", "tweet_volume": null, "promoted_content": {"a": 1}}]}]'
    assert x_trends.parse(promoted).observations[0].promoted


def test_the_stories_of_a_feed_have_their_own_titles() -> None:
    first, second = read("news_rss.xml").observations
    assert (first.name, first.url, first.language) == ("Ferry back after storm", "https://n.example/ferry", "en")
    assert second.published_at == datetime(2026, 11, 2, 13, tzinfo=UTC)
    [alert] = read("news_atom.xml").observations
    assert (alert.name, alert.url, alert.volume) == ("深夜バス", "https://n.example/bus", None)


def test_repositories_count_the_stars_of_today() -> None:
    first, second, third = read("github_trending.html").observations
    assert (first.name, first.volume, first.unit) == ("tide-tools/tide.clock", 1204, "stars today")
    assert (first.url, first.headline) == (
        "https://github.com/tide-tools/tide.clock",
        "Tells the tides & the time",
    )
    assert (second.name, second.volume) == ("otter/sea_map", 98)
    assert (third.volume, third.headline) == (None, None)
    older = (
        '<ol class="repo-list">\n<li class="col-12 width-full"><h3>\n<a href="/a/b">\n<span>a / </span>b\n</a></h3>'
        "<svg></svg>\n 1,573 stars this\nweek</li></ol>"
    )
    [row] = github_trending.parse(older.encode()).observations
    assert (row.name, row.volume, row.unit) == ("a/b", 1573, "stars this week")


def test_the_newest_list_is_read_also_without_quotes_and_end_tags() -> None:
    assert [(each.name, each.volume, each.bound) for each in read("trends24.html").observations] == [
        ("#GeceTramvayı", 12_345, "exact"),
        ("İzmir & körfez", 1_200_000, "exact"),
        ("Deniz", 10_000, "at_most"),
        ("深夜バス", None, "exact"),
    ]


@pytest.mark.parametrize("page", [page for page, (owner, _) in PAGES.items() if owner in PARSERS])
def test_a_page_that_was_cut_off_is_never_ok(page: str) -> None:
    whole = (DATA / page).read_bytes().rstrip()
    parse = PARSERS[PAGES[page][0]]
    # HTML may do without end tags: what counts is the end of the list, or of the last row.
    end = {"trends24.html": whole.find(b"</ol"), "github_trending.html": whole.rfind(b"</article")}.get(page)
    for cut in range(1, end or len(whole) - 8, max(1, len(whole) // 25)):
        assert parse(whole[:cut]).verdict == "changed", cut


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("page", REFUSALS)
def test_a_refusal_dressed_as_a_page_is_blocked(name: str, page: bytes) -> None:
    reading = PARSERS[name](page)
    assert (reading.verdict, reading.observations) == ("blocked", ())


@pytest.mark.parametrize(
    ("name", "page", "verdict"),
    [
        ("mastodon_tags", {"error": "This method requires an authenticated user"}, "blocked"),
        ("x_trends", {"title": "Too Many Requests", "status": 429, "detail": "Too Many Requests"}, "blocked"),
        ("x_trends", {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}, "blocked"),
        ("wikipedia_top", {"type": "about:blank", "title": "Not Found", "status": 404}, "empty"),
        ("hacker_news", {"message": "Too many requests", "status": 429}, "blocked"),
        ("mastodon_links", [], "empty"),
        ("hacker_news", {"hits": []}, "empty"),
        ("x_trends", {"meta": {"result_count": 0}}, "empty"),
        ("wikipedia_top", {"items": [{"articles": []}]}, "empty"),
        ("wikipedia_top", {"items": [{"articles": [{"article": "Main_Page", "views": 1}]}]}, "changed"),
        ("x_trends", {"data": [{"trend_name": "a"}, {"name": "b"}, {"name": "c"}]}, "changed"),
    ],
)
def test_what_an_api_says_instead(name: str, page: object, verdict: str) -> None:
    assert PARSERS[name](json.dumps(page).encode()).verdict == verdict


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("news_feed", b"<rss><channel><title>Quiet</title></channel></rss>"),
        (
            "google_trends",
            b'<rss xmlns:ht="https://trends.google.com/trending/rss"><channel><ht:x/></channel></rss>',
        ),
        ("github_trending", b"<h3>It looks like we don\xe2\x80\x99t have any trending repositories for C.</h3>"),
        ("trends24", b"<ol class=trend-card__list></ol>"),
    ],
)
def test_the_expected_page_with_nothing_on_it_is_empty(name: str, page: bytes) -> None:
    assert PARSERS[name](page).verdict == "empty"


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=25)
@given(page=st.binary(max_size=400) | ANY_JSON.map(lambda document: json.dumps(document).encode()))
def test_no_page_raises_and_rubbish_is_never_ok(name: str, page: bytes) -> None:
    assert PARSERS[name](page).verdict != "ok"


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=15)
@given(data=st.data())
def test_a_damaged_page_raises_nothing_and_names_can_be_stored(name: str, data: st.DataObject) -> None:
    page = data.draw(st.sampled_from([page for page, (owner, rows) in PAGES.items() if owner == name and rows < 50]))
    body = bytearray((DATA / page).read_bytes())
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=12)):
        body[at] = byte
    for each in PARSERS[name](bytes(body)).observations:
        assert each.name.strip() and "\x00" not in each.name and "\n" not in each.name
        each.name.encode()


@pytest.mark.parametrize("page", HOSTILE)
@pytest.mark.parametrize("name", PARSERS)
def test_a_hostile_page_costs_little(name: str, page: str) -> None:
    started = time.process_time()
    assert PARSERS[name](HOSTILE[page]).verdict in ("changed", "empty")
    assert time.process_time() - started < 15


@pytest.mark.parametrize(
    ("text", "number", "bound"),
    [
        ("200+", 200, "at_least"),
        ("20K+", 20_000, "at_least"),
        ("20,000+", 20_000, "at_least"),
        ("1.2M", 1_200_000, "exact"),
        ("Under 10K", 10_000, "at_most"),
        ("42K posts", 42_000, "exact"),
        ("1.234", 1234, "exact"),
        ("٢٠٠+", 200, "at_least"),
        ("5Mio", None, "exact"),
        ("", None, "exact"),
        ("9" * 99, None, "exact"),
    ],
)
def test_a_count_in_words(text: str, number: int | None, bound: str) -> None:
    assert count_in_words(text) == (number, bound)


def test_the_catalogue_holds_what_the_settings_switch_on() -> None:
    some = TrendSources(
        mastodon_instances="mastodon.social",
        hacker_news=False,
        wikipedia_languages="tr",
        google_geos="TR, US",
        news_feeds="https://n.example/rss.xml",
        github_trending=True,
        trends24_places="turkey",
        x_woeids="1",
    )
    assert {source.key: source.source_class for source in sources(some)} == {
        "google_trends:TR": "rss",
        "google_trends:US": "rss",
        "mastodon_tags:mastodon.social": "api",
        "mastodon_links:mastodon.social": "api",
        "wikipedia_top:tr": "api",
        "news_feed:n.example/rss.xml": "rss",
        "github_trending:daily": "html",
        "trends24:turkey": "html",
        "x_trends:1": "x",
    }
    assert {source.source_class for source in sources(TrendSources())} == {"rss", "api"}


def test_the_day_before_is_asked_for_where_yesterday_is_not_counted_yet() -> None:
    now = datetime(2026, 3, 1, 1, tzinfo=UTC)
    urls = [address.url for address in wikipedia_top.source("tr").addresses(now)]
    assert [url[-10:] for url in urls] == ["2026/02/28", "2026/02/27"]


def test_a_story_of_years_ago_is_no_trend_and_the_ranks_close_up() -> None:
    now = datetime.fromtimestamp(1_793_703_600, UTC)
    page = (DATA / "hacker_news.json").read_bytes()
    reading = hacker_news.source().read(page, now)
    assert [each.rank for each in reading.observations] == [1, 2]
    assert reading.reason == "3 of 3 stories, 1 older than 72 hours"
    later = replace(hacker_news.source(), fresh_hours=1).read(page, datetime(2027, 1, 1, tzinfo=UTC))
    assert (later.verdict, later.observations) == ("empty", ())
