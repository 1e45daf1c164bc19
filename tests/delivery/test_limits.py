"""Eight processes at a limit: what X saw in any window of it, and what it cost."""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tasks.operations import governor, spend
from tasks.operations.credentials import access_path
from tests.delivery.conftest import Sender
from tests.makers import stored_app

SKEWS = (0, 600, -600, 0, 600, -600, 0, 0)


async def at_work(sender: Sender, password: str, seconds: float, limits: Sequence[dict[str, Any]]) -> None:
    """Serve one window in eight processes whose clocks disagree by ten minutes."""

    async def one(skew: int) -> None:
        server = sender.at.server
        given = {
            "host": server.host,
            "port": server.port,
            "database": server.database,
            "password": password,
            "x": sender.x.url,
            "tokens": {str(bot): sender.kv.secrets[access_path(bot)] for bot in sender.bots},
            "limits": list(limits),
            "seconds": seconds,
            "skew_seconds": skew,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.delivery.worker", stdin=asyncio.subprocess.PIPE
        )
        await process.communicate(json.dumps(given).encode())
        assert process.returncode == 0

    await asyncio.gather(*(one(skew) for skew in SKEWS))


def most_in_any(instants: Sequence[datetime], seconds: float) -> int:
    """The most instants within any window of this length."""
    ordered = sorted(instant.timestamp() for instant in instants)
    return max((sum(1 for other in ordered if first <= other < first + seconds) for first in ordered), default=0)


@pytest.mark.promise("P5")
async def test_eight_processes_with_wrong_clocks_and_a_foreign_client_stay_within_every_window(
    sender: Sender, postgres: Any
) -> None:
    async with sender.at.transaction() as session:
        app = await stored_app(session)
    bots = await sender.with_bots(3, x_app_id=app)
    for bot in bots:
        await sender.schedule(bot, 12)
    # X's own limit of an account is ours; somebody else uses some of it, and is not told apart by X.
    sender.x.settings(limits={"POST /2/tweets": {"user_15_minutes": 6}})
    foreign = sender.x.tokens("bot_0")[0]["access_token"]
    await post_as(sender, foreign, 2)
    limits = [{"per": "user", "most": 5, "seconds": 4}, {"per": "app", "most": 11, "seconds": 4}]
    await at_work(sender, postgres.password, 7, limits)
    ours = [entry for entry in sender.ledger() if not entry["text"].startswith("foreign")]
    by_bot = {name: [e for e in ours if e["username"] == name] for name in ("bot_0", "bot_1", "bot_2")}
    for entries in by_bot.values():
        assert most_in_any([datetime.fromisoformat(e["first_byte_at"]) for e in entries], 4) <= 5
    assert most_in_any([datetime.fromisoformat(e["first_byte_at"]) for e in ours], 4) <= 11
    # The limit is used, not shunned.
    assert len(by_bot["bot_1"]) + len(by_bot["bot_2"]) >= 6
    async with sender.at.transaction() as session:
        reasons = await session.execute(text("SELECT DISTINCT reason FROM posts WHERE status = 'scheduled'"))
        assert all(row.reason for row in reasons)


async def post_as(sender: Sender, token: str, count: int) -> None:
    async with httpx.AsyncClient(base_url=sender.x.url, trust_env=False) as client:
        for number in range(count):
            headers = {"Authorization": f"Bearer {token}"}
            answer = await client.post("/2/tweets", json={"text": f"foreign {number}"}, headers=headers)
            assert answer.status_code == 201


@pytest.mark.promise("P5")
async def test_eight_processes_cross_no_budget_and_the_forecast_was_right(sender: Sender, postgres: Any) -> None:
    async with sender.at.transaction() as session:
        app = await stored_app(session, name="city", monthly_budget_usd=Decimal("1.00"))
    bots = await sender.with_bots(4, x_app_id=app, labels=["wien"])
    for number, bot in enumerate(bots):
        await sender.schedule(bot, 15)
        await sender.schedule(bot, 1, text=f"More at https://example.org/{number}")
    before = await spend.month(sender.at, None, "label", None)
    # 60 at 0.015 and 4 at 0.20.
    assert before.forecast_usd == Decimal("1.70")
    wide = [{"per": "user", "most": 100, "seconds": 900}, {"per": "app", "most": 10_000, "seconds": 86_400}]
    # On a busy machine one window is too short for what there is money for.
    for _ in range(5):
        await at_work(sender, postgres.password, 5, wide)
        if len(sender.ledger()) >= 60:
            break
    prices = governor.tables(sender.at).prices
    ledger = sender.ledger()
    cost = sum(prices.usd["post_with_url" if "https" in entry["text"] else "post"] for entry in ledger)
    assert cost <= Decimal("0.95")
    # The cheaper ones went first: all 60 fit.
    assert len(ledger) == 60
    after = await spend.month(sender.at, None, "app", None)
    [line] = after.lines
    assert (line.name, line.booked_usd, line.budget_usd) == ("city", cost, Decimal("1.0000"))


@pytest.mark.promise("P5")
async def test_a_forecast_is_what_the_ledger_says_afterwards(sender: Sender) -> None:
    async with sender.at.transaction() as session:
        app = await stored_app(session)
    first, second = await sender.with_bots(2, x_app_id=app)
    await sender.schedule(first, 20)
    await sender.schedule(second, 1, text="More at https://example.org")
    forecast = (await spend.month(sender.at, None, "bot", None)).forecast_usd
    await sender.run(1)
    after = await spend.month(sender.at, None, "bot", None)
    assert len(sender.ledger()) == 21
    assert abs(after.booked_usd - forecast) <= forecast / 100
    assert after.forecast_usd == after.booked_usd


async def test_a_bot_with_two_labels_is_spent_under_both_and_paid_for_once(sender: Sender) -> None:
    async with sender.at.transaction() as session:
        app = await stored_app(session, monthly_budget_usd=Decimal("0.05"))
    [bot] = await sender.with_bots(1, x_app_id=app, labels=["wien", "wetter"])
    # Three fit; were the bot counted by each of its labels, one would.
    await sender.schedule(bot, 5)
    await sender.run(1)
    assert len(sender.ledger()) == 3
    by_label = await spend.month(sender.at, None, "label", frozenset({"wien"}))
    assert {line.name: line.booked_usd for line in by_label.lines} == {
        "wien": Decimal("0.045"),
        "wetter": Decimal("0.045"),
    }
    assert by_label.booked_usd == Decimal("0.045")


async def test_a_read_is_reserved_and_what_it_did_not_bring_is_given_back(sender: Sender) -> None:
    async with sender.at.transaction() as session:
        app = await stored_app(session, monthly_budget_usd=Decimal("0.10"))
    [bot] = await sender.with_bots(1, x_app_id=app)
    granted = await governor.reserve(sender.at, app, bot, "GET /2/users/{id}/tweets", 15)
    assert isinstance(granted, governor.Granted)
    assert isinstance(await governor.reserve(sender.at, app, bot, "GET /2/users/{id}/tweets", 15), governor.NotNow)
    await governor.used(sender.at, granted, 2)
    assert (await spend.month(sender.at, None, "kind", None)).booked_usd == Decimal("0.010")
    assert isinstance(
        await governor.reserve(sender.at, app, bot, "GET /2/users/{id}/tweets", 18, reconciling=True), governor.Granted
    )
