"""The database's clock between two looks."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.clock import Reading
from tests.makers import NOON

SECONDS = st.floats(0, 10)


@given(asked=st.floats(0, 1e6), took=SECONDS, hidden=st.floats(0, 1), rate=st.floats(0.1, 1000), ahead=SECONDS)
def test_a_post_is_never_early_and_its_lateness_never_understated(
    asked: float, took: float, hidden: float, rate: float, ahead: float
) -> None:
    reading = Reading(NOON, asked, asked + took, rate)
    true_ticks = asked + took * hidden
    due = NOON + timedelta(seconds=ahead)
    true_due_ticks = true_ticks + ahead / rate
    sent = reading.ticks_at(due)
    assert sent >= true_due_ticks - 1e-3
    assert reading.instant_at(sent) >= due - timedelta(microseconds=2 * rate)
