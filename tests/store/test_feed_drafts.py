"""Feeds on a real socket into a real Postgres: each entry becomes a draft once, and nothing of theirs acts alone."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from blocks.postgres.engine import Server
from config.places import Places
from config.settings import Settings, TrendSources
from tasks.connections import Connections
from tasks.domain.feeds import FeedEntry, NewFeed, Utm, harmless, text_of, with_utm
from tasks.domain.roles import system
from tasks.operations import content, feeds
from tasks.operations.content import ContentTakenError, NoDraftError
from tests.makers import stored_bots
from tests.trend_pages import Answer, Site, a_site

OPERATOR = system("tests")


@pytest.fixture
def site() -> Iterator[Site]:
    with a_site() as found:
        yield found


@pytest.fixture
async def at(engine: AsyncEngine, database: Server, site: Site, tmp_path: Path) -> Connections:
    wanted = TrendSources(contact="ops@example.org", private_hosts=site.host, page_seconds=2)
    places = Places(Settings(home=tmp_path, trend_sources=wanted))
    found = Connections(places, database, None, engine, None, None, None, None)  # type: ignore[arg-type]
    async with found.transaction() as session:
        await stored_bots(session, 1)
    return found


def a_feed(*entries: tuple[str, str]) -> Answer:
    items = "".join(
        f"<item><guid>{guid}</guid><title>{title}</title><link>https://example.org/{guid}</link></item>"
        for guid, title in entries
    )
    return Answer(f"<rss version='2.0'><channel><title>News</title>{items}</channel></rss>".encode())


async def drafts(at: Connections) -> list[tuple[str, str]]:
    async with at.transaction() as session:
        rows = await session.execute(text("SELECT status, text FROM posts ORDER BY id"))
        return [(row.status, row.text) for row in rows]


async def test_an_entry_becomes_a_draft_once_and_goes_out_once_a_person_has_released_it(
    at: Connections, site: Site
) -> None:
    wanted = NewFeed(bot="bot_0", name="news", url=f"http://{site.host}/feed", cap_per_day=2, utm=Utm(campaign="feeds"))
    added = await feeds.add(at, wanted, OPERATOR)
    with pytest.raises(ContentTakenError):
        await feeds.add(at, wanted, OPERATOR)
    old = [("a", "Old news"), ("b", "Older news")]
    site.answers["/feed"] = a_feed(*old)
    [first] = await feeds.read_all(at)
    assert (first.problem, first.planned, await drafts(at)) == (None, 0, [])
    fresh = [("c", "@mayor opens the #bridge"), ("d", "Tram D is back"), ("e", "word " * 90), ("f", "Fog")]
    site.answers["/feed"] = a_feed(*fresh, *old)
    [second] = await feeds.read_all(at)
    assert (second.planned, second.refused) == (4, ())
    assert [status for status, _ in await drafts(at)] == ["draft"] * 4
    said = [said for _, said in await drafts(at)]
    marks = "?utm_source=x&utm_medium=social&utm_campaign=feeds"
    assert said[:2] == [
        f"mayor opens the bridge https://example.org/c{marks}",
        f"Tram D is back https://example.org/d{marks}",
    ]
    async with at.transaction() as session:
        # As a reading leaves it that is killed between its drafts and its notes.
        await session.execute(text("UPDATE feed_entries SET state = 'new' WHERE guid IN ('c', 'd')"))
    [again] = await feeds.read_all(at)
    assert (again.planned, len(await drafts(at))) == (0, 4)
    async with at.transaction() as session:
        days = await session.execute(text("SELECT due_at::date AS day, count(*) AS posts FROM posts GROUP BY 1"))
        assert max(row.posts for row in days) <= added.cap_per_day
        post_id = (await session.execute(text("SELECT id FROM posts ORDER BY id LIMIT 1"))).scalar_one()
    released = await content.release(at, post_id, OPERATOR)
    assert released.result == "scheduled"
    assert [status for status, _ in await drafts(at)] == ["scheduled", "draft", "draft", "draft"]
    with pytest.raises(NoDraftError, match="the post is scheduled"):
        await content.release(at, post_id, OPERATOR)


@pytest.mark.promise("D1")
async def test_a_feed_that_fails_says_why_and_keeps_when_it_was_good(at: Connections, site: Site) -> None:
    await feeds.add(at, NewFeed(bot="bot_0", name="news", url=f"http://{site.host}/feed"), OPERATOR)
    site.answers["/feed"] = a_feed(("a", "News"))
    await feeds.read_all(at)
    [good] = await feeds.list_all(at, OPERATOR)
    for answer, said in (
        (Answer(b"gone", 410), "answered 410"),
        (Answer(b"<html></html>"), "not XML, but an HTML page"),
    ):
        site.answers["/feed"] = answer
        [failed] = await feeds.read_all(at)
        assert said in (failed.problem or "")
        [feed] = await feeds.list_all(at, OPERATOR)
        assert (feed.problem, feed.good_at) == (failed.problem, good.good_at)
    async with at.transaction() as session:
        await session.execute(text("UPDATE feeds SET url = 'http://10.0.0.1/feed'"))
    [inside] = await feeds.read_all(at)
    assert "not on the public internet" in (inside.problem or "")
    await feeds.remove(at, good.id, OPERATOR)
    assert await feeds.list_all(at, OPERATOR) == []
    with pytest.raises(content.NoSuchContentError):
        await feeds.remove(at, uuid4(), OPERATOR)


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ("@everyone join #now for $XYZ", "everyone join now for XYZ"),
        ("C# 12, a@b.example and $100", "C# 12, a@b.example and $100"),
        ("left\u202eright\u200b and \ufeffmore\x07", "leftright and more"),
        ("\uff20wide \uff03wide", "wide wide"),
        ("{{ 7 * 7 }}", "{{ 7 * 7 }}"),
        ("a family \U0001f468\u200d\U0001f469\u200d\U0001f467", "a family \U0001f468\u200d\U0001f469\u200d\U0001f467"),
    ],
)
def test_words_of_others_call_nobody_and_hide_nothing(theirs: str, said: str) -> None:
    assert harmless(theirs) == said
    entry = FeedEntry("a", theirs, None, "", None)
    assert text_of(entry, "News: {{ title }} {{ link }}", None) == f"News: {said}"


def test_marks_are_added_once_and_leave_what_a_link_says() -> None:
    utm = Utm(campaign="spring")
    assert with_utm("https://example.org/a?b=1&utm_source=them#top", utm) == (
        "https://example.org/a?b=1&utm_source=them&utm_medium=social&utm_campaign=spring#top"
    )
    assert with_utm("https://example.org/a", None) == "https://example.org/a"


def test_a_feed_that_would_always_say_the_same_is_refused() -> None:
    with pytest.raises(ValueError, match="each post would say the same"):
        NewFeed(bot="bot_0", name="news", url="https://example.org/feed", template="Read our news!")
