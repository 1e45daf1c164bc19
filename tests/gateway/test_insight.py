"""Insight over the API: what was learnt from a season, for those who may see it; and the best posts as they stand."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.connections import Connections
from tasks.operations import learning
from tasks.store import metrics, rollups
from tasks.store.metrics import PostSnapshot
from tests.gateway.conftest import Front, a_key
from tests.makers import stored_bots, stored_posts
from tests.results import a_season

Sessions = async_sessionmaker[AsyncSession]


def connections(front: Front) -> Connections:
    found: Connections = front.app.state.opening.ready.connections
    return found


async def get(front: Front, path: str, **query: Any) -> Any:
    answer = await front.call("GET", path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_a_season_taught_is_told_to_those_who_may_see_the_bot(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        bots = await stored_bots(session, 6, labels=["wien"])
        await a_season(session, bots, limited=bots[2])
    assert await get(front, "/metrics/bots/bot_1/insight") is None
    assert await learning.learn_times(connections(front)) == 1
    assert len(await learning.review_bots(connections(front))) == 6

    usual = await get(front, "/metrics/bots/bot_1/insight")
    assert (usual["verdict"], usual["advice"]) == ("as usual", "nothing to do")
    assert usual["rate_low"] < usual["rate"] < usual["rate_high"]
    # Half of the posts earn 2 %, half 4 %; which of them fall into its weeks depends on the hour.
    assert usual["rate"] == pytest.approx(0.03, abs=0.004)
    assert usual["x_rate"] == pytest.approx(2 * usual["rate"])
    assert usual["half_life_hours"] == pytest.approx(2, abs=0.1)
    assert usual["weekly"] == pytest.approx(0.01, abs=0.002)
    assert 2000 < usual["followers"] < 2300 and 0 < usual["gained"] < 120
    limited = await get(front, "/metrics/bots/BOT_2/insight")
    assert limited["verdict"] == "limited" and limited["advice"].startswith("stop and review")
    assert limited["share"] < 0.2 and limited["z"] < -4

    today = {item["what"]: item for item in (await get(front, "/today"))["items"]}
    assert (today["limited"]["count"], today["limited"]["person"]) == (1, True)
    assert "@bot_2" in today["limited"]["said"]

    week = await get(front, "/metrics/bots/bot_1/best-times")
    assert [(hour["weekday"], hour["hour"]) for hour in week] == [(day, hour) for day in range(7) for hour in range(24)]
    evening, morning, night = ([hour for hour in week if hour["hour"] == wanted] for wanted in (20, 8, 2))
    assert all(late["lift"] > 1.5 * early["lift"] for late, early in zip(evening, morning, strict=True))
    assert all(hour["posts"] == 0 and hour["low"] < 1 < hour["high"] for hour in night)
    assert all(
        idle["high"] / idle["low"] > late["high"] / late["low"] for idle, late in zip(night, evening, strict=True)
    )

    wien, graz = await a_key(front, "wiener", ("viewer", "wien")), await a_key(front, "grazer", ("viewer", "graz"))
    for path in ("insight", "best-times"):
        address = f"/api/v1/metrics/bots/bot_1/{path}"
        assert (await front.anybody.get(address, headers=wien)).status_code == 200
        assert (await front.anybody.get(address, headers=graz)).status_code == 404


async def test_nothing_to_learn_from_is_no_failure(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_bots(session)
    assert await learning.learn_times(connections(front)) == 0
    assert await learning.review_bots(connections(front)) == []
    assert await get(front, "/metrics/bots/bot_0/best-times") == []


async def a_post(session: AsyncSession, bot: UUID, hours: int, views: int, likes: int) -> UUID:
    """One that came out so many hours ago, read an hour later and an hour ago."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    [post] = await stored_posts(session, bot)
    await session.execute(
        text("UPDATE posts SET status = 'published', x_post_id = :x, published_at = :at WHERE id = :id"),
        {"id": post, "x": str(uuid4().int % 10**18), "at": hour - timedelta(hours=hours)},
    )
    for back, part in ((hours - 1, 2), (1, 1)):
        at = hour - timedelta(hours=back)
        seen = PostSnapshot(post, bot, at, at, impressions=views // part, likes=likes // part)
        await metrics.add_posts(session, [seen])
    return post


async def test_the_best_posts_come_first_by_what_is_asked_and_within_labels(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        ours, theirs = await stored_bots(session, 2, labels=["wien"])
        await session.execute(text("UPDATE bots SET labels = '{graz}' WHERE id = :id"), {"id": theirs})
        await metrics.make_months(session, (datetime.now(UTC) - timedelta(days=40)).date(), datetime.now(UTC).date())
        liked = await a_post(session, ours, 30, 10_000, 100)
        witty = await a_post(session, ours, 20, 1000, 80)
        unseen = await a_post(session, theirs, 10, 50, 40)
        await a_post(session, theirs, 24 * 30, 10**6, 10**5)
        await rollups.write(session, await rollups.touched(session, await rollups.take_changes(session, 1000)))

    async def order(**query: Any) -> list[str]:
        return [post["post_id"] for post in await get(front, "/metrics/top", **query)]

    assert await order() == [str(liked), str(witty), str(unseen)]
    assert await order(by="rate") == [str(witty), str(liked), str(unseen)]
    assert await order(days=1) == [str(witty), str(unseen)]
    assert await order(label="graz") == [str(unseen)]
    assert await order(limit=1) == [str(liked)]
    course = await get(front, f"/metrics/posts/{witty}")
    assert [one["impressions"] for one in course["snapshots"]] == [500, 1000]

    graz = await a_key(front, "grazer", ("viewer", "graz"))
    asked = {"headers": graz}
    assert [post["post_id"] for post in (await front.anybody.get("/api/v1/metrics/top", **asked)).json()] == [
        str(unseen)
    ]
    assert (await front.anybody.get("/api/v1/metrics/top?label=wien", **asked)).status_code == 403
    assert (await front.anybody.get(f"/api/v1/metrics/posts/{witty}", **asked)).status_code == 404
