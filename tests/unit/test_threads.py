"""Drafts that are parts of threads."""

from datetime import timedelta
from uuid import UUID

from tasks.domain import threads
from tasks.domain.posts import Draft
from tasks.domain.threads import Plan
from tests.makers import NOON, a_draft


def test_parts_are_told_by_bot_and_name_and_one_alone_is_a_post() -> None:
    drafts = [
        a_draft(bot="a", thread="t"),
        a_draft(bot="b", thread="t"),
        a_draft(bot="A", thread="t"),
        a_draft(bot="a"),
        a_draft(bot="a", thread="alone"),
    ]
    assert threads.groups(drafts) == [[0, 2]]


def test_a_part_is_not_due_before_the_one_it_follows() -> None:
    parts = [a_draft(), a_draft(due_at=NOON - timedelta(seconds=1))]
    assert threads.objection(parts) == "part 2 is due before part 1"
    assert threads.objection([a_draft(), a_draft()]) is None


def test_a_later_part_replies_to_nothing_else() -> None:
    assert threads.objection([a_draft(reply_to_x_post_id="7"), a_draft()]) is None
    objection = threads.objection([a_draft(), a_draft(reply_to_x_post_id="7")])
    assert objection == "part 2 replies to the part before it, so it cannot reply to another post"


def test_the_first_part_is_spread_and_the_others_are_planned_no_sooner() -> None:
    ids = [UUID(int=number) for number in range(3)]
    drafts: dict[UUID, Draft] = {
        ids[0]: a_draft(spread_seconds=600),
        ids[1]: a_draft(spread_seconds=600),
        ids[2]: a_draft(due_at=NOON + timedelta(hours=1)),
    }
    found = threads.plans(drafts, [ids])
    first = found[ids[0]].planned_at
    assert NOON <= first <= NOON + timedelta(minutes=10)
    assert found == {
        ids[0]: Plan(first, ids[0], 1),
        ids[1]: Plan(first, ids[0], 2),
        ids[2]: Plan(NOON + timedelta(hours=1), ids[0], 3),
    }
    assert threads.plans({ids[2]: drafts[ids[2]]}, [])[ids[2]] == Plan(NOON + timedelta(hours=1))
