"""Where a post goes: every case in sight."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.posts import NextStep, Outcome, after_attempt, fingerprint, traceparent
from tests.makers import NOON

RETRY = timedelta(seconds=5)


def step(outcome: Outcome) -> NextStep:
    return after_attempt(outcome, NOON, RETRY)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome("accepted", x_post_id="1"), NextStep("published")),
        (Outcome("unknown", problem="deadline"), NextStep("unknown", "deadline")),
        (Outcome("refused", problem="duplicate", detail="No."), NextStep("refused", "duplicate: No.")),
        (Outcome("unauthorized"), NextStep("scheduled", "X refused the bot's token", NOON + RETRY)),
        (Outcome("not_sent", problem="latch"), NextStep("scheduled", "latch", NOON + RETRY)),
        (
            Outcome("throttled", problem="429", retry_at=NOON + timedelta(minutes=9)),
            NextStep("scheduled", "429", NOON + timedelta(minutes=9)),
        ),
    ],
)
def test_each_outcome_leads_to_one_place(outcome: Outcome, expected: NextStep) -> None:
    assert step(outcome) == expected


@given(minutes=st.none() | st.integers(-60, 60))
def test_a_429_never_ends_a_post_and_is_not_asked_again_before_its_window(minutes: int | None) -> None:
    window = None if minutes is None else NOON + timedelta(minutes=minutes)
    found = step(Outcome("throttled", problem="429", retry_at=window))
    assert found == NextStep("scheduled", "429", max(window or NOON, NOON + RETRY))


@pytest.mark.promise("P2")
@given(
    problem=st.none() | st.text(),
    retry_at=st.none() | st.datetimes().map(lambda naive: naive.replace(tzinfo=NOON.tzinfo)),
)
def test_an_unknown_outcome_never_leads_back_to_scheduled(problem: str | None, retry_at: object) -> None:
    outcome = Outcome("unknown", problem=problem, retry_at=retry_at)  # type: ignore[arg-type]
    assert step(outcome).status == "unknown"


def test_texts_that_x_takes_for_the_same_have_one_fingerprint() -> None:
    assert fingerprint("Cafe\u0301  opens\n") == fingerprint("Caf\u00e9 opens")
    assert fingerprint("Cafe opens") != fingerprint("Caf\u00e9 opens")


def test_a_traceparent_is_w3c_and_tells_attempts_apart() -> None:
    one = traceparent(UUID(int=1))
    assert one == "00-00000000000000000000000000000001-0000000000000001-01"
    assert one != traceparent(UUID(int=2))
