"""Results of posts on a real Postgres: how each stood after a day, whatever was read before or since."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from blocks.postgres.engine import Server
from config.places import Places
from config.settings import Settings
from tasks.connections import Connections
from tasks.operations import post_results as results_of_posts
from tasks.store import metrics, post_results
from tasks.store.metrics import PostSnapshot
from tests.makers import stored_bots, stored_posts

Sessions = async_sessionmaker[AsyncSession]
HOUR = timedelta(hours=1)
OUT = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 40 * HOUR


def a_snapshot(post_id: UUID, bot_id: UUID, hours: float, views: int, **given: int) -> PostSnapshot:
    bucket_at = OUT + hours * HOUR
    return PostSnapshot(post_id, bot_id, bucket_at, bucket_at, impressions=views, likes=views // 10, **given)


async def out(session: AsyncSession, bot_id: UUID, count: int = 1, **given: object) -> list[UUID]:
    ids = await stored_posts(session, bot_id, count, **given)
    for post_id in ids:
        await session.execute(
            text("UPDATE posts SET status = 'published', x_post_id = :x, published_at = :at WHERE id = :id"),
            {"id": post_id, "x": str(post_id.int % 10**18), "at": OUT},
        )
    return ids


async def settled(session: AsyncSession, anew: bool = False) -> int:
    return await post_results.settle(session, OUT - HOUR, OUT + HOUR, anew)


@pytest.mark.promise("D1")
async def test_a_post_is_judged_by_its_first_day_once_and_again_only_when_asked(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        [bot] = await stored_bots(session)
        await metrics.make_months(session, OUT.date(), datetime.now(UTC).date())
        [post] = await out(session, bot, template="weather")
        views = {0.75: 10, 2: 30, 6: 55, 12: 70, 24: 100, 25: 140}
        await metrics.add_posts(session, [a_snapshot(post, bot, hours, seen) for hours, seen in views.items()])
        assert await settled(session) == 1
        assert await settled(session) == 0
        [day] = await post_results.by_day(session, OUT - HOUR, OUT + HOUR, None)
        assert (day["bot"], day["source"], day["template"], day["posts"]) == (str(bot), "api", "weather", 1)
        assert (day["impressions"], day["engaged"], day["engagements"], day["own_impressions"]) == (100, 10, 0, 0)
        assert [day[f"seen_{age}h"] for age in (1, 3, 6, 12, 24)] == [10, 30, 55, 70, 100]
        late = a_snapshot(post, bot, 24, 120, engagements=30)
        await metrics.add_posts(session, [PostSnapshot(**{**_fields(late), "observed_at": OUT + 26 * HOUR})])
        assert await settled(session, anew=True) == 1
        [day] = await post_results.by_day(session, OUT - HOUR, OUT + HOUR, None)
        assert (day["impressions"], day["engagements"], day["own_impressions"]) == (120, 30, 120)


def _fields(one: PostSnapshot) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


async def test_what_was_not_read_in_its_first_day_and_what_is_no_post_of_its_own_has_no_result(
    sessions: Sessions,
) -> None:
    async with sessions.begin() as session:
        [bot] = await stored_bots(session)
        await metrics.make_months(session, OUT.date(), datetime.now(UTC).date())
        young, reply = [*await out(session, bot), *await out(session, bot, reply_to_x_post_id="7")]
        await metrics.add_posts(session, [a_snapshot(young, bot, 11, 10), a_snapshot(young, bot, 25, 10)])
        await metrics.add_posts(session, [a_snapshot(reply, bot, 20, 10)])
        assert await settled(session) == 0


async def test_hours_are_of_the_bots_own_zone_and_labels_bound_what_is_told(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        [bot] = await stored_bots(session, labels=["wien"], time_zone="Asia/Kathmandu")
        await metrics.make_months(session, OUT.date(), datetime.now(UTC).date())
        posts = await out(session, bot, 3)
        await metrics.add_posts(session, [a_snapshot(post, bot, 20, 100) for post in posts])
        await settled(session)
        [cell] = await post_results.by_hour_of_week(session, OUT - HOUR)
        local = OUT + timedelta(hours=5, minutes=45)
        assert (cell["weekday"], cell["hour"], cell["posts"]) == (local.weekday(), local.hour, 3)
        assert cell["y"] == pytest.approx(3 * 2.3979, abs=0.001)
        assert await post_results.by_day(session, OUT - HOUR, OUT + HOUR, ["graz"]) == []
        assert len(await post_results.by_day(session, OUT - HOUR, OUT + HOUR, ["wien"])) == 1
        await post_results.erase(session, posts)
        assert await post_results.by_hour_of_week(session, OUT - HOUR) == []


async def test_asked_anew_every_month_that_has_snapshots_is_judged_again_and_no_older_one(
    engine: AsyncEngine, database: Server, sessions: Sessions
) -> None:
    ages = {timedelta(days=75): 1, timedelta(days=40): 2, 40 * HOUR: 3, timedelta(days=200): 4}
    async with sessions.begin() as session:
        [bot] = await stored_bots(session)
        await metrics.make_months(session, (OUT - timedelta(days=210)).date(), datetime.now(UTC).date())
        for age, tens in ages.items():
            [post] = await out(session, bot)
            out_at = datetime.now(UTC) - age
            await session.execute(
                text("UPDATE posts SET published_at = :at WHERE id = :id"), {"at": out_at, "id": post}
            )
            read_at = out_at + 20 * HOUR
            await metrics.add_posts(session, [PostSnapshot(post, bot, read_at, read_at, impressions=10 * tens)])
            await post_results.settle(session, out_at - HOUR, out_at + HOUR)
            read_at += HOUR
            await metrics.add_posts(session, [PostSnapshot(post, bot, read_at, read_at, impressions=10 * tens + 1)])
    at = Connections(Places(Settings()), database, None, engine, None, None, None, None)  # type: ignore[arg-type]
    assert await results_of_posts.settle_anew(at) == 3
    async with sessions.begin() as session:
        found = await session.execute(text("SELECT impressions FROM post_results ORDER BY published_at"))
        assert [row.impressions for row in found] == [40, 11, 21, 31]
