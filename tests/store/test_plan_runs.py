"""Plans that a run makes: the fleet's by itself as far as personas ask, and what people ask for within their labels."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from blocks.postgres.engine import Server
from config.places import Places
from config.settings import Settings
from tasks.connections import Connections
from tasks.domain.personas import Cadence
from tasks.domain.roles import system
from tasks.domain.templates import Template
from tasks.operations import planning
from tasks.operations.planning import PlanningUnderWayError, Wish
from tasks.store import personas, run_requests
from tests.makers import a_persona, stored_bots

DATA = tuple({"object": f"Object {number}"} for number in range(60))
OBJECT = Template(name="object", text="Today: {{ object }}", data=DATA, distinct_by=("object",))


@pytest.fixture
async def at(engine: AsyncEngine, database: Server) -> Connections:
    """Three bots of one persona, each at noon; the first bears a label."""
    found = Connections(Places(Settings()), database, None, engine, None, None, None, None)  # type: ignore[arg-type]
    async with found.transaction() as session:
        [first, *_] = await stored_bots(session, 3)
        await session.execute(text("UPDATE bots SET labels = '{museum}' WHERE id = :id"), {"id": first})
    await speak(found)
    return found


async def speak(at: Connections, ahead: int = 0) -> None:
    async with at.transaction() as session:
        cadence = Cadence(slots=("12:00",), spread_minutes=0, plan_ahead_days=ahead)
        await personas.put(session, [a_persona(cadence=cadence, templates=(OBJECT,))])


async def asked(at: Connections, labels: frozenset[str] | None, **arguments: object) -> UUID:
    async with at.transaction() as session:
        return await run_requests.add(session, "plan-posts/daily", arguments, "anna", labels)


async def test_the_daily_run_plans_as_far_ahead_as_a_persona_asks(at: Connections) -> None:
    assert (await planning.serve(at, None, uuid4())).entries == []
    await speak(at, ahead=4)
    found = await planning.serve(at, None, uuid4())
    # Noon may be over today.
    assert len(found.entries) in (9, 12)
    assert (await planning.serve(at, None, uuid4())).entries == []


@pytest.mark.promise("A2")
async def test_a_run_plans_within_the_labels_of_who_asked_and_once(at: Connections) -> None:
    request = await asked(at, frozenset({"museum"}), days=3)
    run = uuid4()
    found = await planning.serve(at, request, run)
    assert {one.planned.bot for one in found.entries} == {"bot_0"}
    # Another run cannot take the same request.
    assert (await planning.serve(at, request, uuid4())).entries == []
    found = await planning.serve(at, await asked(at, None, days=3), uuid4())
    assert {one.planned.bot for one in found.entries} == {"bot_1", "bot_2"}


async def test_two_plans_at_once_do_not_say_the_same_twice(at: Connections) -> None:
    async with planning.alone(at):
        with pytest.raises(PlanningUnderWayError):
            await planning.make(at, Wish(days=3), system("tests"))
        # To look is never too early.
        assert (await planning.make(at, Wish(days=3), system("tests"), dry_run=True)).entries
