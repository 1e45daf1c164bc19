"""A refresh interrupted at each step: a process killed or stopped, a vault or a database that dies."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from blocks.postgres.engine import Server
from tests.credentials import breaking, children
from tests.credentials.breaking import KILLED, POSTGRES_AWAY, VAULT_AWAY, assert_as_expected
from tests.credentials.fleet import Fleet, world_of
from tests.credentials.points import POINTS, refresher
from tests.openbao_process import OpenBaoProcess, running_openbao
from tests.postgres_process import PostgresProcess
from tests.running_stack import eventually
from tests.x_sandbox_process import XSandboxProcess

pytestmark = pytest.mark.promise("C3")

ROUNDS, ROUNDS_OF_A_SOAK = 2, 20
# Those whose end is not the one of the step before; a soak takes them all.
TELLING_VAULT = {"R2 read", "R4 marked", "R7 refresh token written"}
TELLING_POSTGRES = {"R2 read", "R4 marked", "R5 answered", "R7 access token written"}


def some(telling: set[str]) -> list[object]:
    return [point if point in telling else pytest.param(point, marks=pytest.mark.soak) for point in POINTS]


@pytest.fixture(scope="module")
def own_bao() -> Iterator[OpenBaoProcess]:
    """A vault that may be killed."""
    with running_openbao() as bao:
        yield bao


@pytest.fixture
async def breakable(
    database: Server, postgres: PostgresProcess, x_process: XSandboxProcess, own_bao: OpenBaoProcess
) -> AsyncIterator[Fleet]:
    """As `fleet`, on a vault of its own."""
    x_process.reset()
    world = world_of(own_bao, database, postgres.password, x_process.url)
    async with refresher(world) as at:
        yield Fleet(world, at, postgres, own_bao, x_process)


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_refresher_leaves_what_the_table_says(
    fleet: Fleet, point: str, pytestconfig: pytest.Config
) -> None:
    rounds = ROUNDS_OF_A_SOAK if pytestconfig.getoption("--soak") else ROUNDS
    assert_as_expected(await breaking.kill_at(fleet, point, rounds), KILLED[point])


@pytest.mark.parametrize("point", some(TELLING_VAULT))
async def test_a_vault_that_dies_in_the_middle_costs_no_family(breakable: Fleet, point: str) -> None:
    bao = breakable.bao
    assert_as_expected(await breaking.away_at(breakable, point, "vault", bao.kill, bao.start), VAULT_AWAY[point])


@pytest.mark.parametrize("point", some(TELLING_POSTGRES))
async def test_a_database_that_dies_in_the_middle_costs_no_family(fleet: Fleet, point: str) -> None:
    postgres = fleet.postgres
    found = await breaking.away_at(fleet, point, "Postgres", postgres.kill, postgres.start)
    assert_as_expected(found, POSTGRES_AWAY[point])


@pytest.mark.soak
@pytest.mark.parametrize("part", ["vault", "Postgres"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_while_a_part_is_away_ends_as_a_kill(breakable: Fleet, point: str, part: str) -> None:
    found = await breaking.kill_while_away(breakable, point, part, ROUNDS_OF_A_SOAK)
    assert_as_expected(found, KILLED[point])


@pytest.mark.parametrize("part", ["vault", "Postgres"])
async def test_a_refresher_killed_with_a_part_away_keeps_what_it_sealed(breakable: Fleet, part: str) -> None:
    found = await breaking.kill_while_away(breakable, "R6 sealed", part, ROUNDS)
    assert_as_expected(found, KILLED["R6 sealed"])


@pytest.mark.parametrize("first", ["vault", "database"])
async def test_with_both_away_the_process_holds_the_tokens_until_one_is_back(breakable: Fleet, first: str) -> None:
    await breakable.with_bots()
    breakable.pass_time(seconds=breaking.NEARLY_ENDED.total_seconds())
    bao, postgres = breakable.bao, breakable.postgres
    both_away = asyncio.Event()

    def reached(point: str) -> None:
        if point == "R5 answered":
            bao.kill()
            postgres.kill()
            both_away.set()

    breakable.listen(reached)
    refresh = asyncio.create_task(breakable.fresh())
    await both_away.wait()
    await asyncio.sleep(1)  # some tries at both are to fail
    back, late = (bao.start, postgres.start) if first == "vault" else (postgres.start, bao.start)
    await asyncio.to_thread(back)
    found = await refresh
    await asyncio.to_thread(late)
    breakable.listen(None)
    assert found.token is not None
    breakable.pass_time(seconds=breaking.LATER.total_seconds())
    assert await breaking.run(breakable) == {"refreshed": 1}
    assert (breakable.calls(), breakable.escrows()) == ({"granted": 1}, 0)
    assert await breakable.works()


async def test_a_sender_that_stood_still_before_the_first_byte_sends_nothing(fleet: Fleet) -> None:
    [bot] = await fleet.with_bots()
    fleet.pass_time(seconds=breaking.NEARLY_ENDED.total_seconds())
    child = children.stopped_at(fleet.world, bot, "R4 marked")
    await asyncio.to_thread(eventually, lambda: children.stands_still(child.pid))
    await asyncio.sleep(fleet.world.places.settings.credentials.send_within_seconds)
    os.kill(child.pid or 0, signal.SIGCONT)
    child.join(20)
    assert (fleet.attempts(), fleet.calls()) == (["not_sent"], {})
    assert (await fleet.fresh()).state == "refreshed"


async def test_while_a_sender_stands_still_nobody_sends_its_token_and_its_late_answer_counts(fleet: Fleet) -> None:
    """Its lease has ended, X has decided, its access token has ended: yet it lives, so it may still get an answer."""
    [bot] = await fleet.with_bots()
    fleet.pass_time(seconds=breaking.NEARLY_ENDED.total_seconds())
    child = children.stopped_at(fleet.world, bot, "R5 answered")
    await asyncio.to_thread(eventually, lambda: children.stands_still(child.pid))
    fleet.pass_time(seconds=breaking.LATER.total_seconds())
    assert (await breaking.run(fleet)) == {"waiting": 1}
    fleet.pass_time(seconds=breaking.ENDED.total_seconds())
    assert (await breaking.run(fleet)) == {"waiting": 1}
    os.kill(child.pid or 0, signal.SIGCONT)
    child.join(20)
    assert await breaking.run(fleet) == {"fresh": 1}
    assert (fleet.calls(), fleet.attempts()) == ({"granted": 1}, ["granted"])
    assert await fleet.works()


async def test_a_hundred_callers_at_the_end_of_a_token_ask_x_once(fleet: Fleet) -> None:
    [bot] = await fleet.with_bots()
    fleet.pass_time(seconds=breaking.NEARLY_ENDED.total_seconds())
    answers = await asyncio.to_thread(children.all_at_once, fleet.world, bot, 4, 25)
    assert Counter(has_token for _, has_token in answers) == {True: 100}
    assert Counter(state for state, _ in answers) == {"refreshed": 1, "fresh": 99}
    assert (fleet.calls(), fleet.attempts()) == ({"granted": 1}, ["granted"])
