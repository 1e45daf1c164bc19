"""When a token falls due, and what follows from each thing that an interrupted refresh may leave."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.loading import APP_ROOT
from config.settings import Credentials
from tasks.domain.rotation import LOOKS_EVERY, Held, Left, next_step, refresh_at

ISSUED = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
EARLIEST, LATEST = timedelta(minutes=15), timedelta(minutes=5)
LIFE = timedelta(hours=2)


def due_after(bot_id: UUID, life: timedelta = LIFE) -> timedelta:
    return refresh_at(bot_id, ISSUED, ISSUED + life, EARLIEST, LATEST) - ISSUED


@given(st.uuids(), st.integers(min_value=0, max_value=299))
def test_a_token_is_refreshed_5_to_15_minutes_before_it_ends_whenever_the_run_looks(bot_id: UUID, offset: int) -> None:
    due = due_after(bot_id)
    looks = timedelta(seconds=offset)
    while looks < due:
        looks += LOOKS_EVERY
    assert LATEST <= LIFE - looks <= EARLIEST


@given(st.uuids(), st.integers(min_value=60, max_value=7200))
def test_a_short_lived_token_is_left_alone_in_the_first_half_of_its_life(bot_id: UUID, seconds: int) -> None:
    life = timedelta(seconds=seconds)
    assert life / 2 <= due_after(bot_id, life) <= life
    assert due_after(bot_id, life) == due_after(bot_id, life)


def test_bots_are_spread_over_the_whole_span() -> None:
    due = [due_after(UUID(int=number)) for number in range(1_000)]
    before_end = [(LIFE - after).total_seconds() for after in due]
    quarters = [sum(start <= seconds < start + 75 for seconds in before_end) for start in range(600, 900, 75)]
    assert all(200 <= number <= 300 for number in quarters), quarters


def test_the_rule_counts_on_the_rhythm_that_the_deployment_has() -> None:
    deployments = yaml.safe_load((APP_ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    [ours] = [found for found in deployments if found["entrypoint"] == "flows.key_rotation.rotate_credentials"]
    assert [schedule["cron"] for schedule in ours["schedules"]] == [f"*/{LOOKS_EVERY // timedelta(minutes=1)} * * * *"]
    assert (Credentials().refresh_earliest_seconds, Credentials().refresh_latest_seconds) == (900, 300)


# What the vault holds: version 3, written by attempt "mine" or by somebody else; the access token nears its end.
HELD = Held(version=3, written_by="older", due=True, ended=False, spent=False)
ENDED = replace(HELD, ended=True)
# What an attempt of a dead sender left, long ago.
LOST = Left("mine", from_version=3, replay=False, escrowed=False, settled=True, over=True, provable=True)


@pytest.mark.promise("C3")
@pytest.mark.parametrize(
    ("held", "left", "step"),
    [
        # nothing was left
        (replace(HELD, due=False), None, "serve"),
        (HELD, None, "refresh"),
        (ENDED, None, "refresh"),
        # invalid_grant, or a vault that was restored: X has had this token
        (replace(HELD, spent=True), None, "wait"),
        (replace(ENDED, spent=True), None, "ask_for_login"),
        # between R4 and the answer
        (HELD, LOST, "wait"),
        (ENDED, LOST, "replay"),
        (ENDED, replace(LOST, settled=False), "wait"),
        (ENDED, replace(LOST, over=False), "wait"),
        (ENDED, replace(LOST, over=False, provable=False), "ask_for_login"),
        (ENDED, replace(LOST, replay=True), "ask_for_login"),
        # answer, then vault away or crash after R6
        (HELD, replace(LOST, escrowed=True), "finish"),
        (ENDED, replace(LOST, escrowed=True, over=False, settled=False), "finish"),
        # R7's acknowledgement lost, crash before R8
        (replace(HELD, version=4, written_by="mine", due=False), replace(LOST, escrowed=True), "finish"),
        (replace(HELD, version=4, written_by="mine", due=False), LOST, "close"),
        # CAS conflict
        (replace(HELD, version=4, due=False), replace(LOST, escrowed=True), "set_aside"),
        (replace(HELD, version=4, due=False), LOST, "set_aside"),
    ],
)
def test_each_row_of_the_failure_table(held: Held, left: Left | None, step: str) -> None:
    assert next_step(held, left, "replay_once") == step


def test_where_the_setting_says_so_a_token_of_unknown_fate_is_never_replayed() -> None:
    assert next_step(ENDED, LOST, "needs_login") == "ask_for_login"


HELDS = st.builds(
    Held,
    version=st.integers(1, 5),
    written_by=st.sampled_from([None, "mine", "older"]),
    due=st.booleans(),
    ended=st.booleans(),
    spent=st.booleans(),
)
LEFTS = st.builds(
    Left,
    attempt_id=st.just("mine"),
    from_version=st.integers(1, 5),
    replay=st.booleans(),
    escrowed=st.booleans(),
    settled=st.booleans(),
    over=st.booleans(),
    provable=st.booleans(),
)


@pytest.mark.promise("C3")
@given(HELDS, st.none() | LEFTS, st.sampled_from(["replay_once", "needs_login"]))
def test_a_token_leaves_a_second_time_only_where_everything_speaks_for_it(
    held: Held, left: Left | None, unknown: str
) -> None:
    step = next_step(held, left, unknown)  # type: ignore[arg-type]
    if step == "refresh":
        assert left is None
        assert held.due
        assert not held.spent
    if step == "replay":
        assert unknown == "replay_once"
        assert left is not None
        assert left.over
        assert left.settled
        assert not left.escrowed
        assert not left.replay
        assert held.ended
        assert held.version <= left.from_version
    if step == "ask_for_login" and left is not None:
        assert not left.escrowed
        assert held.ended
