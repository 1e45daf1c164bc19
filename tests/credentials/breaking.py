"""A refresh broken at each of its steps, and what became of the bot. Tests and the report share it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from tasks.operations.rotation import x_user_tokens
from tests.credentials import children
from tests.credentials.fleet import Fleet
from tests.credentials.points import POINTS

NEARLY_ENDED = timedelta(hours=1, minutes=50, seconds=30)
# Longer than a lease, and than X takes to decide.
LATER = timedelta(minutes=3)
ENDED = timedelta(minutes=7)


@dataclass(frozen=True)
class Aftermath:
    """How many bots stood how after the next run of the deployment, and after the first one past their token's end.

    `served` counts the bots whose token worked in between; `calls` what X was asked for, by result; `works` the bots
    that can post in the end.
    """

    broken: str
    bots: int
    next_run: Counter[str]
    served: int
    last_run: Counter[str]
    calls: Mapping[str, int]
    works: int
    left_in_escrow: int


@dataclass(frozen=True)
class Expected:
    """What the failure table says."""

    next_run: str
    last_run: str
    calls: Mapping[str, int]

    @property
    def survives(self) -> bool:
        """Whether the family lives on."""
        return self.last_run != "needs_login"


ONCE = {"granted": 1}
NOT_YET_SENT = Expected("refreshed", "refreshed", ONCE)
NOT_DONE_YET = Expected("refreshed", "refreshed", ONCE)
# After the end of the access token one replay: X never saw the first, or it takes the replay for theft.
UNKNOWN_AND_NOT_AT_X = Expected("waiting", "refreshed", ONCE)
UNKNOWN_AND_GRANTED = Expected("waiting", "needs_login", {"granted": 1, "family_killed": 1})
DONE = Expected("fresh", "fresh", ONCE)

KILLED: Mapping[str, Expected] = {
    "R1 leased": NOT_YET_SENT,
    "R2 read": NOT_YET_SENT,
    "R3 probed": NOT_YET_SENT,
    "R4 marked": UNKNOWN_AND_NOT_AT_X,
    "R5 leaving": UNKNOWN_AND_NOT_AT_X,
    "R5 answered": UNKNOWN_AND_GRANTED,
    "R6 sealed": NOT_DONE_YET,
    "R7 refresh token written": NOT_DONE_YET,
    "R7 access token written": NOT_DONE_YET,
    "R8 labels moved": DONE,
}
VAULT_AWAY: Mapping[str, Expected] = {
    **dict.fromkeys(POINTS, NOT_DONE_YET),
    "R7 access token written": DONE,
    "R8 labels moved": DONE,
}
POSTGRES_AWAY: Mapping[str, Expected] = {
    **dict.fromkeys(POINTS, NOT_DONE_YET),
    "R8 labels moved": DONE,
}


async def kill_at(fleet: Fleet, point: str, rounds: int) -> Aftermath:
    """kill -9 of the refresher of each of `rounds` bots as it passes `point`."""
    await fleet.with_bots(rounds)
    fleet.pass_time(seconds=NEARLY_ENDED.total_seconds())
    codes = children.killed_at(fleet.world, fleet.bots, point)
    assert codes == [-9] * rounds, codes
    return await aftermath(fleet, f"killed: {point}")


async def kill_while_away(fleet: Fleet, point: str, part: str, rounds: int) -> Aftermath:
    """As `kill_at`, with the vault or Postgres killed first, while the refresher stands at `point`."""
    process = fleet.bao if part == "vault" else fleet.postgres
    await fleet.with_bots(rounds)
    fleet.pass_time(seconds=NEARLY_ENDED.total_seconds())
    codes = children.killed_while_away(fleet.world, fleet.bots, point, process.kill, process.start)
    assert codes == [-9] * rounds, codes
    return await aftermath(fleet, f"killed, {part} away: {point}")


async def away_at(
    fleet: Fleet, point: str, part: str, take_away: Callable[[], None], bring_back: Callable[[], None]
) -> Aftermath:
    """A part is killed as the refresher passes `point`, and is back for the next run."""
    await fleet.with_bots()
    fleet.pass_time(seconds=NEARLY_ENDED.total_seconds())
    left = [point]

    def reached(now: str) -> None:
        if now in left:
            left.remove(now)
            take_away()

    fleet.listen(reached)
    try:
        await x_user_tokens.refresh(fleet.at, await x_user_tokens.due(fleet.at))
    finally:
        fleet.listen(None)
        bring_back()
    assert not left, f"{point} was not reached"
    return await aftermath(fleet, f"{part} away: {point}")


async def aftermath(fleet: Fleet, broken: str) -> Aftermath:
    """What the deployment's next runs make of it."""
    fleet.pass_time(seconds=LATER.total_seconds())
    next_run = await run(fleet)
    served = [await fleet.works(number) for number in range(len(fleet.bots))]
    fleet.pass_time(seconds=ENDED.total_seconds())
    last_run = await run(fleet) if next_run["waiting"] else next_run
    works = [await fleet.works(number) for number in range(len(fleet.bots))]
    calls = fleet.calls()
    return Aftermath(broken, len(fleet.bots), next_run, sum(served), last_run, calls, sum(works), fleet.escrows())


async def run(fleet: Fleet) -> Counter[str]:
    """One run of the deployment: bots by what became of them; those it did not even look at are fresh."""
    found = await x_user_tokens.refresh(fleet.at, await x_user_tokens.due(fleet.at))
    states = Counter(str(one.state) for one in found)
    if untouched := len(fleet.bots) - len(found):
        states["fresh"] += untouched
    return states


def assert_as_expected(found: Aftermath, expected: Expected) -> None:
    """Every bot ended as the table says."""
    everyone = found.bots
    assert found.next_run == {expected.next_run: everyone}, found
    assert found.served == everyone, found
    assert found.last_run == {expected.last_run: everyone}, found
    assert found.calls == {result: number * everyone for result, number in expected.calls.items()}, found
    assert found.works == (everyone if expected.survives else 0), found
    assert found.left_in_escrow == 0, found
