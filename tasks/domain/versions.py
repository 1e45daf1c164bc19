"""Versions of one credential: made, taken up, tested, used, and ended after their grace; one step at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

State = Literal["begun", "created", "set", "tested", "current", "previous", "removed", "abandoned"]
Step = Literal["create", "set", "test", "finish", "begin", "give up", "remove", "rest"]

# The step that a version on its way takes next, and where that step leads.
NEXT: Mapping[State, Step] = {"begun": "create", "created": "set", "set": "test", "tested": "finish"}
LEADS_TO: Mapping[Step, State] = {
    "create": "created",
    "set": "set",
    "test": "tested",
    "finish": "current",
    "give up": "abandoned",
    "remove": "removed",
}
ON_ITS_WAY: tuple[State, ...] = tuple(NEXT)
# Once a version is tested, readers may follow the label to it at any moment: it goes on, and is rotated anew.
CAN_BE_GIVEN_UP: tuple[State, ...] = ("begun", "created", "set")


@dataclass(frozen=True)
class Rules:
    """What the settings say of one kind: how old a version may grow, how long the one before it stays good, and whether
    a new one is made unasked."""

    max_age: timedelta
    grace: timedelta
    unasked: bool


@dataclass(frozen=True)
class Held:
    """What there is of one credential: the version on its way and whether a person gave it up, since when the current
    one is used, and until when the one before it stays good."""

    pending: State | None
    given_up: bool
    since: datetime
    remove_at: datetime | None


def next_step(held: Held, rules: Rules, now: datetime) -> Step:
    """What may be done now.

    A version on its way comes first, and as long as one is, no other begins. Nor does one while the version before is
    within its grace: there would be three, and whoever still used the first would be cut off.
    """
    if held.pending is not None:
        return "give up" if held.given_up else NEXT[held.pending]
    if held.remove_at is not None:
        return "remove" if held.remove_at <= now else "rest"
    return "begin" if rules.unasked and now >= due_at(held, rules) else "rest"


def due_at(held: Held, rules: Rules) -> datetime:
    """When the current version has reached its age."""
    return held.since + rules.max_age
