"""Metrics over the API: what a bot gained, and what a run would cost, for those who may see it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.store import metrics, rollups
from tasks.store.metrics import PostSnapshot
from tests.gateway.conftest import Front, a_key
from tests.makers import stored_app, stored_bots, stored_posts

Sessions = async_sessionmaker[AsyncSession]
HOUR = timedelta(hours=1)


async def test_what_a_bot_gained_is_told_by_hour_and_day_to_those_who_may_see_it(
    front: Front, sessions: Sessions
) -> None:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 26 * HOUR
    async with sessions.begin() as session:
        bot_id, *_ = await stored_bots(session, 2, labels=["wien"])
        await metrics.make_months(session, (start - timedelta(days=40)).date(), datetime.now(UTC).date())
        post_id = uuid4()
        await metrics.add_posts(
            session,
            [
                PostSnapshot(post_id, bot_id, start + place * HOUR, start, impressions=10 * (place + 1), likes=place)
                for place in range(26)
            ],
        )
        await rollups.write(session, await rollups.touched(session, await rollups.take_changes(session, 1000)))
    hours = (await front.call("GET", "/metrics/bots/bot_0", params={"by": "hour"})).json()
    assert [hour["impressions"] for hour in hours] == [10] * 26
    assert datetime.fromisoformat(hours[0]["at"]) == start
    days = (await front.call("GET", "/metrics/bots/BOT_0")).json()
    assert sum(day["impressions"] for day in days) == 260 and len(days) in (2, 3)
    assert sum(day["likes"] for day in days) == 25
    some = {"by": "hour", "since": (start + HOUR).isoformat(), "until": (start + 3 * HOUR).isoformat()}
    assert len((await front.call("GET", "/metrics/bots/bot_0", params=some)).json()) == 2
    assert (await front.call("GET", "/metrics/bots/bot_1")).json() == []

    wien, elsewhere = await a_key(front, "wien", ("viewer", "wien")), await a_key(front, "graz", ("viewer", "graz"))
    path = "/api/v1/metrics/bots/bot_0"
    assert (await front.anybody.get(path, headers=wien)).status_code == 200
    assert (await front.anybody.get(path, headers=elsewhere)).status_code == 404
    assert (await front.anybody.get(path)).status_code == 401


async def test_a_plan_says_calls_and_cost_and_changes_nothing(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        app_id = await stored_app(session, name="city", monthly_budget_usd=Decimal(100))
        bots = await stored_bots(session, 2, x_app_id=app_id)
        for place, post_id in enumerate(await stored_posts(session, bots[0], 3)):
            await session.execute(
                text(
                    "UPDATE posts SET status = 'published', x_post_id = :x,"
                    " published_at = app_now() - interval '1 hour' WHERE id = :id"
                ),
                {"id": post_id, "x": str(place)},
            )
    found = (await front.call("GET", "/metrics/plan")).json()
    (app,) = found["apps"]
    assert (app["app"], app["accounts"], app["posts"], app["put_off"]) == ("city", 2, 3, 0)
    assert (found["calls"], Decimal(found["usd"])) == (2, Decimal("0.035"))
    assert Decimal(app["allowance_usd"]) > 0
    async with sessions.begin() as session:
        assert (await session.execute(text("SELECT count(*) FROM sampled_posts"))).scalar_one() == 0
