"""Today: what is counted, who sees it, when a person is needed; and that a hundred thousand posts do not slow it."""

import time
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.gateway.conftest import Front
from tests.makers import stored_bots, stored_posts

Sessions = async_sessionmaker[AsyncSession]


async def today(front: Front, **wanted: str) -> dict[str, Any]:
    answer = await front.call("GET", "/today", params=wanted)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def counts(found: dict[str, Any]) -> dict[str, int]:
    return {item["what"]: item["count"] for item in found["items"]}


async def test_a_quiet_day_needs_nobody(front: Front, sessions: Sessions) -> None:
    found = await today(front)
    assert (counts(found), found["person_needed"]) == ({"went out": 0}, False)


async def test_each_trouble_is_counted_and_says_what_to_do(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        bots = await stored_bots(session, 3, labels=["wien"])
        for status, x_post_id in (("published", "'7'"), ("refused", "NULL"), ("unknown", "NULL"), ("held", "NULL")):
            [post] = await stored_posts(session, bots[0])
            await session.execute(
                text(
                    f"UPDATE posts SET status = '{status}', x_post_id = {x_post_id}, updated_at = app_now(),"  # noqa: S608
                    f" published_at = CASE WHEN '{status}' = 'published' THEN app_now() END WHERE id = :id"
                ),
                {"id": post},
            )
        await stored_posts(session, bots[0], 2, due_in_seconds=-60)
        await session.execute(text("UPDATE bots SET state = 'needs_login' WHERE handle = 'bot_1'"))
        await session.execute(text("UPDATE bots SET state = 'suspended' WHERE handle = 'bot_2'"))
        await session.execute(
            text(
                "INSERT INTO credentials (kind, bot_id, vault_path, version, issued_at, expires_at)"
                " SELECT 'x_user_access', id, 'p', 1, app_now(), app_now() FROM bots WHERE handle = 'bot_0'"
            )
        )
    found = await today(front)
    assert counts(found) == {
        "went out": 1,
        "refused": 1,
        "unknown": 1,
        "held": 1,
        "nobody sends": 2,
        "needs login": 1,
        "suspended": 1,
        "token old": 1,
    }
    needing = {item["what"] for item in found["items"] if item["person"]}
    assert needing == {"held", "nobody sends", "needs login", "suspended", "token old"}
    assert [item["person"] for item in found["items"]] == sorted((i["person"] for i in found["items"]), reverse=True)
    assert all(item["do"] for item in found["items"] if item["person"])
    assert next(item["said"] for item in found["items"] if item["what"] == "needs login") == "@bot_1"
    async with sessions.begin() as session:
        await session.execute(text("INSERT INTO stops (scope, reason, created_by) VALUES ('fleet', 'flood', 'ann')"))
    silent = await today(front)
    assert "nobody sends" not in counts(silent)
    assert next(item["said"] for item in silent["items"] if item["what"] == "stopped") == "fleet: flood (ann)"


@pytest.mark.promise("A2")
async def test_a_label_counts_its_own_bots_alone(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        for number, label in enumerate(("wien", "graz")):
            [bot] = await stored_bots(session, 1, labels=[label], handle=f"of_{label}", x_user_id=str(number))
            [post] = await stored_posts(session, bot)
            await session.execute(
                text("UPDATE posts SET status = 'held', updated_at = app_now() WHERE id = :id"), {"id": post}
            )
            given = {"label": label}
            await session.execute(
                text("INSERT INTO stops (scope, label, reason, created_by) VALUES ('label', :label, 'flood', 'ann')"),
                given,
            )
    assert counts(await today(front))["held"] == 2
    assert counts(await today(front, label="wien"))["held"] == 1
    async with sessions.begin() as session:
        await session.execute(text("UPDATE role_bindings SET role = 'viewer', label = 'graz'"))
    mine = await today(front)
    assert counts(mine)["held"] == 1
    assert [item["said"] for item in mine["items"] if item["what"] == "stopped"] == ["label graz: flood (ann)"]
    assert (await front.call("GET", "/today", params={"label": "wien"})).status_code == 403


async def test_a_hundred_thousand_posts_do_not_slow_it(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_bots(session, 100)
        await session.execute(
            text(
                "INSERT INTO posts (bot_id, text, due_at, planned_at, next_at, source, status, created_by, x_post_id,"
                " published_at, updated_at)"
                " SELECT bot.id, 'x', instant, instant, instant, 'api', 'published', 'tests',"
                " (1000 * n + row_number() OVER ())::text, instant, instant"
                " FROM bots AS bot, generate_series(1, 1000) AS n,"
                " LATERAL (SELECT app_now() - n * interval '1 hour' AS instant) AS clock"
            )
        )
    await today(front)
    began = time.monotonic()
    found = await today(front)
    took = time.monotonic() - began
    print(f"today over 100,000 posts: {took * 1000:.0f} ms")
    assert counts(found)["went out"] == 100 * 23
    assert took < 5


async def test_a_month_whose_money_will_not_do_needs_a_person(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        app = await session.execute(
            text(
                "INSERT INTO x_apps (name, use_case, stage, client_id, redirect_uri, monthly_budget_usd)"
                " VALUES ('ours', 'weather', 'production', 'c', 'http://127.0.0.1/', 0.05) RETURNING id"
            )
        )
        [bot] = await stored_bots(session, 1, x_app_id=app.scalar_one())
        await stored_posts(session, bot, 3)
    [item] = [item for item in (await today(front))["items"] if item["what"] == "budget"]
    assert (item["person"], item["said"]) == (False, "ours: $0.00 of $0.05 booked, $0.04 with what is scheduled")
    async with sessions.begin() as session:
        await stored_posts(session, bot, 1)
    found = await today(front)
    assert found["person_needed"]
    assert counts(found)["budget"] == 1
