"""The recipe: what it does in which order, what a kill leaves, and what stops it."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from blocks.vault.errors import Unreachable
from config.settings import JwtKeys as AnySettings
from config.settings import Rotation
from tasks.connections import Connections
from tasks.domain.roles import Actor, Grant, system
from tasks.operations.rotation import recipe
from tasks.operations.rotation.kind import Facts, NeedsPersonError, NotYet, Subject, TestFailedError
from tasks.operations.rotation.recipe import Due, NoSuchSubjectError, NotNowError
from tasks.store import rotations
from tasks.store.rotations import Version
from tests.waiting import until

pytestmark = pytest.mark.promise("C2")

STEPS = ("create", "set", "test", "finish")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ONE = Due("locks", "front")
ADMIN = system("tests")


class Killed(BaseException):
    """The process is gone: nothing of ours runs after it."""


class Locks:
    """Locks and their keys, as far as the recipe can tell them from credentials."""

    name = "locks"

    def __init__(self) -> None:
        self.exist: set[int] = {1}
        self.label = 1
        self.calls: list[str] = []
        self.killed_at: tuple[str, str] | None = None
        self.raises: dict[str, Exception] = {}

    def rules(self, settings: Rotation) -> AnySettings:
        return AnySettings(max_age_seconds=86_400, grace_seconds=1, schedule="when_due", who_may="operator")

    async def subjects(self, at: Connections) -> Sequence[Subject]:
        return [Subject("front", LONG_AGO, "the door"), Subject("back", LONG_AGO, "the other door")]

    async def create(self, at: Connections, version: Version) -> Facts:
        self._call("create", version, lambda: self.exist.add(version.version))
        return {"made": version.version}

    async def set(self, at: Connections, version: Version) -> None:
        self._call("set", version, lambda: None)

    async def test(self, at: Connections, version: Version) -> None:
        assert version.facts["made"] == version.version
        self._call("test", version, lambda: None)

    async def finish(self, at: Connections, version: Version) -> None:
        self._call("finish", version, lambda: setattr(self, "label", version.version))

    async def remove(self, at: Connections, version: Version) -> None:
        self._call("remove", version, lambda: self.exist.discard(version.version))

    def _call(self, step: str, version: Version, do: object) -> None:
        self.calls.append(f"{step} {version.subject} {version.version}")
        if self.killed_at == (step, "before"):
            raise Killed
        if error := self.raises.get(step):
            raise error
        assert callable(do)
        do()
        assert self.label in self.exist, "what readers use must be there at every moment"
        if self.killed_at == (step, "after"):
            raise Killed


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> Locks:
    """The one kind there is."""
    found = Locks()
    monkeypatch.setattr(recipe, "KINDS", {"locks": found})
    return found


async def states(at: Connections, subject: str = "front") -> list[str]:
    async with at.transaction() as session:
        return [version.state for version in await rotations.of_subject(session, "locks", subject)]


async def rotate(at: Connections) -> recipe.Done:
    return await recipe.rotate_one(at, ONE)


async def test_a_new_version_is_created_set_tested_and_used_and_the_one_before_ends_after_its_grace(
    at: Connections, locks: Locks
) -> None:
    assert await recipe.due(at) == [ONE, Due("locks", "back")]
    done = await rotate(at)
    assert (done.found, done.said) == ("rotated", "version 2 is in use")
    assert locks.calls == [f"{step} front 2" for step in STEPS]
    assert (await states(at), locks.label) == (["current", "previous"], 2)
    assert await recipe.due(at) == [Due("locks", "back")], "within its grace nothing is to be done"
    await until(lambda: _is_due(at))
    assert (await rotate(at)).found == "removed"
    assert (await states(at), locks.exist) == (["current", "removed"], {2})


async def _is_due(at: Connections) -> bool:
    return ONE in await recipe.due(at)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", [*STEPS, "remove"])
async def test_a_run_that_is_killed_at_any_step_is_gone_on_with(
    at: Connections, locks: Locks, step: str, moment: str
) -> None:
    if step == "remove":
        await rotate(at)
        await until(lambda: _is_due(at))
    locks.killed_at = (step, moment)
    with pytest.raises(Killed):
        await rotate(at)
    locks.killed_at = None
    await until(lambda: _ends_well(at))
    assert locks.label == 2
    assert await states(at) in (["current", "previous"], ["current", "removed"])
    assert len([call for call in locks.calls if call.startswith(step)]) == 2, "that step, and no other, is done again"


async def _ends_well(at: Connections) -> bool:
    return (await rotate(at)).found in ("rotated", "removed")


async def test_a_failed_test_leaves_the_version_in_use_and_stops_the_run(at: Connections, locks: Locks) -> None:
    locks.raises = {"test": TestFailedError("the key does not turn")}
    done = await recipe.rotate(at, await recipe.due(at))
    assert [(one.subject, one.found) for one in done] == [("front", "failed")]
    assert "the key does not turn" in done[0].said
    assert (locks.label, await states(at)) == (1, ["set", "current"])
    locks.raises = {}
    assert [one.found for one in await recipe.rotate(at, await recipe.due(at))] == ["rotated", "rotated"]


async def test_what_has_to_wait_waits_where_it_is_and_keeps_its_notes(at: Connections, locks: Locks) -> None:
    locks.raises = {"set": NotYet("half way", {"half": True})}
    assert await rotate(at) == recipe.Done("locks", "front", "waiting", "set: half way")
    locks.raises = {"set": NeedsPersonError("enter the key")}
    assert (await rotate(at)).found == "person"
    locks.raises = {"set": Unreachable("the vault is away")}
    assert (await rotate(at)).said == "the vault: the vault is away"
    [planned, _] = await recipe.plan(at)
    assert planned.pending is not None
    assert planned.pending.state == "created"
    assert planned.pending.facts == {"made": 2, "half": True, "serves": "the door"}
    locks.raises = {}
    assert (await rotate(at)).found == "rotated"


async def test_a_version_that_is_given_up_ends_and_another_may_begin(at: Connections, locks: Locks) -> None:
    locks.raises = {"test": TestFailedError("the key does not turn")}
    await rotate(at)
    for nobody in (Actor("vera", "user", frozenset({Grant("viewer")})), Actor("olga", "user", frozenset())):
        with pytest.raises(PermissionError):
            await recipe.abandon(at, "locks", "front", nobody, "no")
    assert (await recipe.abandon(at, "locks", "front", ADMIN, "a bad key")).version == 2
    assert await recipe.due(at) == [ONE, Due("locks", "back")]
    done = await rotate(at)
    assert (done.found, done.said) == ("abandoned", "version 2 is given up; the one in use stays")
    assert (await states(at), locks.exist, locks.label) == (["abandoned", "current"], {1}, 1)
    with pytest.raises(NotNowError, match="no version of front is on its way"):
        await recipe.abandon(at, "locks", "front", ADMIN, "once more")
    locks.raises = {}
    assert (await rotate(at)).said == "version 3 is in use"


async def test_what_was_given_up_ends_before_a_test_that_fails_stops_the_run(at: Connections, locks: Locks) -> None:
    locks.raises = {"test": TestFailedError("the key does not turn")}
    for subject in ("front", "back"):
        await recipe.rotate_one(at, Due("locks", subject))
    await recipe.abandon(at, "locks", "back", ADMIN, "another day")
    due = await recipe.due(at)
    assert due == [Due("locks", "back"), ONE]
    assert [(one.subject, one.found) for one in await recipe.rotate(at, due)] == [
        ("back", "abandoned"),
        ("front", "failed"),
    ]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_giving_up_is_gone_on_with_after_a_kill(at: Connections, locks: Locks, moment: str) -> None:
    locks.raises = {"set": NotYet("half way")}
    await rotate(at)
    await recipe.abandon(at, "locks", "front", ADMIN, "a bad key")
    locks.killed_at = ("remove", moment)
    with pytest.raises(Killed):
        await rotate(at)
    locks.killed_at = None
    await until(lambda: _given_up(at))
    assert (await states(at), locks.exist) == (["abandoned", "current"], {1})


async def _given_up(at: Connections) -> bool:
    return (await rotate(at)).found == "abandoned"


async def test_a_version_given_up_while_it_is_tested_is_never_used(at: Connections, locks: Locks) -> None:
    """The word of a person comes in the middle of a run; from the test on it comes too late."""
    given_up = []

    async def meanwhile(at: Connections, version: Version) -> None:
        given_up.append((await recipe.abandon(at, "locks", "front", ADMIN, "a bad key")).version)

    async def too_late(at: Connections, version: Version) -> None:
        with pytest.raises(NotNowError, match="about to be used"):
            await recipe.abandon(at, "locks", "front", ADMIN, "a bad key")

    locks.test = meanwhile  # type: ignore[method-assign]
    assert (await rotate(at)).found == "abandoned"
    assert (given_up, locks.exist, locks.label) == ([2], {1}, 1)
    del locks.test
    locks.finish = too_late  # type: ignore[method-assign]
    assert (await rotate(at)).found == "rotated"


async def test_a_person_begins_one_before_its_time_and_not_beside_another(at: Connections, locks: Locks) -> None:
    operator = Actor("olga", "user", frozenset({Grant("operator")}))
    with pytest.raises(NoSuchSubjectError, match="the next run"):
        await recipe.ask(at, "locks", "front", operator, "nobody has looked yet")
    await recipe.plan(at)
    begun = await recipe.ask(at, "locks", "front", operator, "a laptop was lost")
    assert (begun.version, begun.state, begun.asked_by) == (2, "begun", "olga")
    with pytest.raises(NotNowError, match="on its way"):
        await recipe.ask(at, "locks", "front", operator, "once more")
    with pytest.raises(PermissionError):
        await recipe.ask(at, "locks", "back", Actor("vera", "user", frozenset({Grant("viewer")})), "no")
    await rotate(at)
    with pytest.raises(NotNowError, match="stays good until"):
        await recipe.ask(at, "locks", "front", operator, "once more")
