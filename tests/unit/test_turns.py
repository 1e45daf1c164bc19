"""Who waits is served before who has much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.turns import Turns


def lined_up(lines: dict[str, int]) -> Turns[tuple[str, int]]:
    turns: Turns[tuple[str, int]] = Turns()
    for owner, count in lines.items():
        for number in range(count):
            turns.put(owner, (owner, number))
    return turns


def test_each_of_many_is_served_before_the_second_of_one() -> None:
    turns = lined_up({"big": 1000, **{f"small {number}": 1 for number in range(99)}})
    first = [turns.take() for _ in range(100)]
    assert {owner for owner, _ in first} == {"big", *(f"small {number}" for number in range(99))}


def test_one_that_comes_late_waits_for_one_round_at_most() -> None:
    turns = lined_up({"a": 500, "b": 500})
    turns.take()
    turns.put("late", ("late", 0))
    assert ("late", 0) in [turns.take() for _ in range(3)]


def test_nothing_waits() -> None:
    with pytest.raises(IndexError):
        lined_up({}).take()


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 20), max_size=8))
def test_everything_comes_out_once_and_in_the_order_of_its_owner(lines: dict[str, int]) -> None:
    turns = lined_up(lines)
    assert len(turns) == sum(lines.values())
    out = [turns.take() for _ in range(len(turns))]
    assert len(turns) == 0
    for owner, count in lines.items():
        assert [number for one, number in out if one == owner] == list(range(count))
    for at, (owner, number) in enumerate(out):
        # Whoever still had something was served as often as its turn says before anybody is served once more.
        served = {one: sum(1 for earlier, _ in out[:at] if earlier == one) for one in lines}
        assert all(served[one] >= min(number, lines[one]) for one in lines), (owner, number)
