"""Reports over the API: made from a season, of all bots or of a label's, in one file, for those who may see it."""

import csv
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.operations import learning, reporting
from tasks.operations.reporting import BeyondRoleError, Made
from tasks.store import run_requests
from tests.gateway.conftest import Front, a_key
from tests.gateway.test_insight import connections
from tests.makers import stored_bots
from tests.results import a_season

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
async def season(front: Front, sessions: Sessions) -> list[UUID]:
    async with sessions.begin() as session:
        bots = await stored_bots(session, 6, labels=["wien"])
        await session.execute(text("UPDATE bots SET labels = '{graz}' WHERE handle IN ('bot_4', 'bot_5')"))
        await a_season(session, bots, limited=bots[2])
        for bot in bots[:3]:
            await session.execute(
                text("SELECT book_spend(app_now() - interval '3 days', NULL, :bot, 'post', 10, 0.15)"), {"bot": bot}
            )
    await learning.learn_times(connections(front))
    await learning.review_bots(connections(front))
    return bots


async def asked(front: Front, sessions: Sessions, arguments: dict[str, Any], labels: frozenset[str] | None) -> Made:
    run = uuid4()
    async with sessions.begin() as session:
        request = await run_requests.add(session, "report-fleet/daily", arguments, "somebody", labels)
        await run_requests.served(session, request, run)
    return await reporting.make(connections(front), request, run)


async def test_a_report_is_whole_says_what_the_season_was_and_asks_for_nothing(
    front: Front, season: list[UUID]
) -> None:
    made = await reporting.make(connections(front), None, uuid4())
    latest = (await front.call("GET", "/metrics/reports/latest")).json()
    assert (latest["id"], latest["labels"]) == (str(made.id), None)
    said = (await front.call("GET", f"/metrics/reports/{made.id}")).json()
    assert len(said["bots"]) == 6 and said["total"]["usd"] == pytest.approx(0.45)
    assert {one["bot"]: one["verdict"] for one in said["bots"]}["bot_2"] == "limited"
    question, plain = (next(one for one in said["templates"] if one["name"] == name) for name in ("question", "plain"))
    assert question["against_low"] > 1 > plain["against_high"]
    assert said["followers"][-1]["followers"] > said["followers"][0]["followers"]

    page = await front.call("GET", f"/metrics/reports/{made.id}/page")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    html = page.text
    assert "stop and review" in html and html.count("<svg") == 4
    for outside in ("<script", "src=", "href=", "@import", "url("):
        assert outside not in html
    for name in ("engagement", "best-times-1", "growth", "cost"):
        assert f"(/api/v1/metrics/reports/{made.id}/pictures/{name}.svg)" in made.summary
        picture = await front.call("GET", f"/metrics/reports/{made.id}/pictures/{name}.svg")
        assert picture.headers["content-type"] == "image/svg+xml" and picture.text in html
    assert (await front.call("GET", f"/metrics/reports/{made.id}/pictures/none.svg")).status_code == 404


@pytest.mark.promise("A2")
async def test_a_client_gets_his_bots_and_sees_no_others_report(
    front: Front, sessions: Sessions, season: list[UUID]
) -> None:
    fleet = await reporting.make(connections(front), None, uuid4())
    ours = await asked(front, sessions, {"label": "graz", "days": 30}, None)
    own = await asked(front, sessions, {}, frozenset({"graz"}))
    with pytest.raises(BeyondRoleError):
        await asked(front, sessions, {"label": "wien"}, frozenset({"graz"}))
    graz = await a_key(front, "grazer", ("viewer", "graz"))

    async def get(path: str) -> Any:
        return await front.anybody.get(f"/api/v1/metrics/reports{path}", headers=graz)

    assert {one["id"] for one in (await get("")).json()} == {str(ours.id), str(own.id)}
    assert (await get("/latest")).json()["id"] == str(own.id)
    for part in ("", "/page", "/pictures/engagement.svg"):
        assert (await get(f"/{ours.id}{part}")).status_code == 200
        assert (await get(f"/{fleet.id}{part}")).status_code == 404
    assert {one["bot"] for one in (await get(f"/{ours.id}")).json()["bots"]} == {"bot_4", "bot_5"}
    assert "bot_1" not in (await get(f"/{own.id}/page")).text
    assert (await get("/latest?label=wien")).status_code == 403


async def test_a_fleet_without_any_posts_gets_an_empty_report(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_bots(session)
    assert (await front.call("GET", "/metrics/reports/latest")).status_code == 404
    made = await reporting.make(connections(front), None, uuid4())
    said = (await front.call("GET", f"/metrics/reports/{made.id}")).json()
    assert (said["bots"], said["total"]["rate"], said["followers"]) == ([], None, [])
    assert (await front.call("GET", f"/metrics/reports/{made.id}/page")).status_code == 200


async def test_what_bots_gained_is_exported_by_day_within_labels(front: Front, season: list[UUID]) -> None:
    answer = await front.call("GET", "/metrics/export", params={"label": "graz"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert {row["bot"] for row in rows} == {"bot_4", "bot_5"}
    assert 50 <= len(rows) <= 58 and rows[0]["likes"] == "1" and int(rows[-1]["followers"]) > 5000
