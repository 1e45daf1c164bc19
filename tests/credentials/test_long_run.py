"""Half a day of played hours with the deployment's own logic: every bot can post at every moment."""

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta

import pytest

from tests.credentials import breaking
from tests.credentials.fleet import Fleet

pytestmark = pytest.mark.promise("C3")

BOTS = 3
HOURS = 12
LIFE = timedelta(hours=2)


async def test_bots_stay_alive_for_twelve_hours_of_runs_every_five_minutes(fleet: Fleet) -> None:
    await fleet.with_bots(BOTS)
    for number in range(BOTS):
        fleet.pass_time(minutes=7)
        await fleet.sign_in(number)
    for _ in range(HOURS * 12):
        fleet.pass_time(minutes=5)
        await breaking.run(fleet)
        assert all([await fleet.works(number) for number in range(BOTS)])
    assert set(fleet.calls()) == {"granted"}
    before_the_end = spans(fleet)
    assert len(before_the_end) >= BOTS * HOURS // 2
    assert timedelta(minutes=5) <= min(before_the_end)
    assert max(before_the_end) <= timedelta(minutes=15, seconds=5)


def spans(fleet: Fleet) -> list[timedelta]:
    """How long before its access token ended each bot was refreshed, by X's own record."""
    granted: dict[str, list[datetime]] = defaultdict(list)
    found = []
    for entry in fleet.x.ledger("token"):
        at = datetime.fromisoformat(entry["at"])
        if entry["grant"] == "refresh_token":
            found.append(granted[entry["username"]][-1] + LIFE - at)
        granted[entry["username"]].append(at)
    return found


async def test_after_a_night_that_the_stack_was_down_one_run_brings_every_bot_back(fleet: Fleet) -> None:
    await fleet.with_bots(BOTS)
    fleet.pass_time(hours=9)
    assert not any([await fleet.works(number) for number in range(BOTS)])
    assert await breaking.run(fleet) == {"refreshed": BOTS}
    assert all([await fleet.works(number) for number in range(BOTS)])


@pytest.mark.soak
async def test_bots_stay_alive_for_twelve_hours_on_clocks_that_run_fast(fleet: Fleet) -> None:
    speed = 300.0
    await fleet.with_bots(BOTS)
    fleet.run_fast(speed)
    until = asyncio.get_running_loop().time() + HOURS * 3600 / speed
    while asyncio.get_running_loop().time() < until:
        await breaking.run(fleet)
        assert all([await fleet.works(number) for number in range(BOTS)])
        await asyncio.sleep(300 / speed)
    assert set(fleet.calls()) == {"granted"}
    assert fleet.calls()["granted"] >= BOTS * HOURS // 2 - BOTS
