"""Trends over the API: what rises, where it stood, how sources stand, and who may see it."""

from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.store import base, trends
from tests.gateway.conftest import Front, a_key, without_rights
from tests.makers import stored_trends

Sessions = async_sessionmaker[AsyncSession]


async def get(front: Front, path: str, **query: Any) -> Any:
    answer = await front.call("GET", path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_rises_is_told_with_its_parts_and_its_course(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_trends(session, "Eclipse", "Wien", "<b>&", rising=["Eclipse"])
    [rising] = await get(front, "/trends", rising=True)
    assert (rising["shown"], rising["score"], rising["sources"]) == (
        "Eclipse",
        5.5,
        ["news_feed:https://example.org/news"],
    )
    assert rising["parts"] == [{"name": "burst", "points": 5.5, "said": "place 1, not listed the day before"}]
    assert [one["shown"] for one in await get(front, "/trends")] == ["Eclipse", "<b>&", "Wien"]
    assert len(await get(front, "/trends", limit=1)) == 1

    shown = await get(front, "/trends/show", name="#ECLIPSE")
    assert shown["trend"]["cluster"] == "eclipse"
    assert [(one["rank"], one["length"], one["volume"]) for one in shown["stood"]] == [(1, 3, 1000)] * 2
    picture = await front.call("GET", "/trends/rising.svg")
    assert picture.headers["content-type"].startswith("image/svg+xml") and "Eclipse" in picture.text
    assert "default-src 'none'" in picture.headers["content-security-policy"]
    unknown = await front.call("GET", "/trends/show", params={"name": "nobody knows it"})
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:vivesphere:problem:no-such-trend")


async def test_a_source_that_fails_keeps_when_it_was_good_in_the_api_and_in_the_figures(
    front: Front, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        await stored_trends(session, "Wien")
        [source] = await trends.health(session)
        now = await base.now(session)
        await trends.note_bad(session, source.id, now, "blocked", "it says 403", now + timedelta(hours=1))
    [told] = await get(front, "/trends/sources")
    assert (told["source"], told["verdict"], told["reason"]) == (
        "news_feed:https://example.org/news",
        "blocked",
        "it says 403",
    )
    assert (told["failures"], told["rows"]) == (1, 1) and told["good_at"] is not None
    figures = (await front.admin.get("/metrics")).text
    assert 'vivesphere_trend_source_failures{source="news_feed:https://example.org/news"} 1.0' in figures
    assert 'vivesphere_trend_source_last_good_timestamp_seconds{source="news_feed' in figures
    assert "vivesphere_trends_rising 0.0" in figures


async def test_whoever_may_look_at_anything_may_look_at_trends_and_nobody_else(
    front: Front, sessions: Sessions
) -> None:
    for headers, status in (
        (await a_key(front, "labelled", ("viewer", "wien")), 200),
        (await a_key(front, "working", ("worker", None)), 403),
        ({}, 401),
    ):
        for path in ("", "/sources", "/rising.svg"):
            assert (await front.anybody.get(f"/api/v1/trends{path}", headers=headers)).status_code == status
    nobody = await without_rights(front, sessions)
    assert (await nobody.get("/api/v1/trends")).status_code == 403
