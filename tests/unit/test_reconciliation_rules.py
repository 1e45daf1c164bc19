"""The decision table of reconciliation, row by row; and that nothing else ever leads to a resend."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.reconciliation import TOKEN_SPARE, Doubt, Look, Seen, Terms, Verdict, decide, fence, quiet
from tests.makers import NOON

pytestmark = [pytest.mark.promise("P1"), pytest.mark.promise("P2")]

TERMS = Terms(
    settle=timedelta(seconds=60),
    visible=timedelta(seconds=120),
    apart=timedelta(seconds=30),
    gap_most=timedelta(minutes=15),
    attempts_max=5,
)
DEAD = Doubt(token_expires_at=NOON + timedelta(hours=2), over_at=NOON)
# Nobody knows whether its sender lives; its token ended at noon.
SPENT = Doubt(token_expires_at=NOON)
COUNTS = timedelta(seconds=60 + 60 + 120)


def after(seconds: float, seen: Seen, *ids: str) -> Look:
    return Look(NOON + COUNTS + timedelta(seconds=seconds), seen, ids, "X says 402" if seen == "unreadable" else None)


def twice(seen: Seen, *ids: str) -> list[Look]:
    return [after(0, seen, *ids), after(30, seen, *ids)]


@pytest.mark.parametrize(
    ("seen", "ids", "doubt", "before", "afterwards"),
    [
        ("marked", ("1",), DEAD, "published", "published"),
        ("marked", ("1",), replace(DEAD, in_thread=True), "published", "published"),
        ("alike", ("1",), DEAD, "published", "published"),
        ("alike", ("1",), replace(DEAD, in_thread=True), "wait", "held"),
        ("several", ("1", "2"), DEAD, "wait", "held"),
        ("several", ("1", "2"), replace(DEAD, cancel_wanted=True), "wait", "held"),
        ("none", (), DEAD, "wait", "scheduled"),
        ("none", (), SPENT, "wait", "held"),
        ("none", (), replace(DEAD, cancel_wanted=True), "wait", "cancelled"),
        ("none", (), replace(SPENT, cancel_wanted=True), "wait", "cancelled"),
        ("none", (), replace(DEAD, said_duplicate=True), "wait", "held"),
        ("none", (), replace(DEAD, attempts=5), "wait", "refused"),
        ("unreadable", (), DEAD, "wait", "wait"),
        ("unreadable", (), SPENT, "wait", "wait"),
    ],
)
def test_the_table(seen: Seen, ids: tuple[str, ...], doubt: Doubt, before: Verdict, afterwards: Verdict) -> None:
    early = [after(-31, seen, *ids), after(-1, seen, *ids)]
    assert decide(doubt, early, TERMS).verdict == before
    found = decide(doubt, twice(seen, *ids), TERMS)
    assert found.verdict == afterwards
    assert found.reason
    assert (found.x_post_id is not None) == (found.verdict == "published")
    assert (found.next_look_at is not None) == (found.verdict == "wait")


def test_a_person_may_set_that_a_spent_token_is_enough() -> None:
    assert decide(SPENT, twice("none"), replace(TERMS, resend_after_token_fence=True)).verdict == "scheduled"


@pytest.mark.parametrize(
    "looks",
    [
        [after(0, "none")],
        [after(-1, "none"), after(30, "none")],
        [after(0, "none"), after(29, "none")],
        [after(0, "several", "1", "2"), after(30, "none")],
        [after(0, "none"), after(10, "unreadable"), after(30, "none")],
        [after(0, "none"), after(30, "none"), after(61, "several", "1", "2")],
        [after(0, "several", "1", "2"), after(30, "several", "1", "3")],
    ],
    ids=["one", "one too early", "too close", "disagreeing", "one failed between", "changed", "others"],
)
def test_only_two_agreeing_looks_apart_decide(looks: list[Look]) -> None:
    assert decide(DEAD, looks, TERMS).verdict == "wait"


def test_the_fence_is_the_earlier_of_a_death_that_is_settled_and_a_token_that_is_spent() -> None:
    assert fence(DEAD, TERMS) == NOON + timedelta(seconds=60)
    assert fence(replace(DEAD, token_expires_at=NOON - timedelta(seconds=30)), TERMS) == NOON + timedelta(seconds=30)
    assert fence(SPENT, TERMS) == NOON + TOKEN_SPARE
    assert fence(Doubt(token_expires_at=None), TERMS) is None


@given(
    over_in=st.none() | st.integers(-600, 600),
    token_in=st.none() | st.integers(-600, 600),
    looks=st.lists(
        st.tuples(
            st.integers(0, 900),
            st.sampled_from([("none", ()), ("several", ("1", "2")), ("unreadable", ()), ("alike", ("1",))]),
        ),
        min_size=1,
        max_size=6,
    ),
    in_thread=st.booleans(),
    opted_in=st.booleans(),
)
def test_whatever_was_seen_a_resend_has_its_evidence_and_a_wait_its_next_look(
    over_in: int | None,
    token_in: int | None,
    looks: list[tuple[int, tuple[Seen, tuple[str, ...]]]],
    in_thread: bool,
    opted_in: bool,
) -> None:
    doubt = Doubt(_at(token_in), _at(over_in), in_thread=in_thread)
    terms = replace(TERMS, resend_after_token_fence=opted_in)
    seen = [Look(NOON + timedelta(seconds=at), *what) for at, what in sorted(looks, key=lambda look: look[0])]
    found = decide(doubt, seen, terms)
    if found.verdict == "wait":
        assert found.next_look_at is not None
        assert found.next_look_at > seen[-1].at
    if found.verdict in ("scheduled", "held"):
        since = quiet(doubt, terms)
        assert since is not None
        agreeing = [look for look in seen if look.at >= since and look.agrees(seen[-1])]
        assert agreeing[-1].at - agreeing[0].at >= terms.apart
    if found.verdict == "scheduled":
        assert seen[-1].seen == "none"
        assert doubt.over_at is not None or opted_in


def _at(seconds: int | None) -> datetime | None:
    return None if seconds is None else NOON + timedelta(seconds=seconds)
