"""What operators must hear of although they did not ask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from tasks.domain.today import Facts, Item, Silence, What, items

About = Literal[
    "run_failed",
    "post_late",
    "post_held",
    "credential_ending",
    "breaker_open",
    "morning_summary",
    "part_down",
    "test",
]

# Of what a morning would show, that which does not wait for the morning.
ALARMING: Mapping[What, About] = {
    "late": "post_late",
    "nobody sends": "post_late",
    "unknown": "post_held",
    "held": "post_held",
    "needs login": "credential_ending",
    "token old": "credential_ending",
    "key ends": "credential_ending",
    "suspended": "breaker_open",
}
# Said before anybody must act: a key that ends in a week.
EARLY: frozenset[What] = frozenset({"key ends"})


@dataclass(frozen=True)
class Alarm:
    """One thing to be told; two of the same `key` are the same trouble, told again only after a while.

    `link` leads to a page of ours that says more; `do` is the command that does.
    """

    about: About
    key: str
    title: str
    lines: tuple[str, ...] = ()
    do: str = ""
    link: str = ""


def of_facts(facts: Facts) -> list[Alarm]:
    """The alarms among what a morning would show; one trouble is one alarm, however many things it has hit."""
    found = [
        Alarm(
            ALARMING[item.what],
            item.what,
            f"{item.count:,} x {item.what}",
            (item.said,) if item.said else (),
            item.do,
        )
        for item in items(facts)
        if item.what in ALARMING and (item.person or item.what in EARLY)
    ]
    # Each breaker is a trouble of its own, and what X says of it changes meanwhile.
    return [*found, *(_of_breaker(breaker) for breaker in facts.breakers)]


def _of_breaker(breaker: Silence) -> Alarm:
    return Alarm(
        "breaker_open",
        f"breaker open {breaker.over} {breaker.since.isoformat()}",
        f"breaker open: {breaker.over}",
        (breaker.why,),
        "vivesphere breakers list",
    )


def of_morning(said: Sequence[Item], on: date, link: str) -> Alarm:
    """The morning in one message."""
    waiting = sum(item.person for item in said)
    title = f"{on:%Y-%m-%d}: {waiting} things wait for a person" if waiting else f"{on:%Y-%m-%d}: nobody is needed"
    return Alarm(
        "morning_summary",
        f"morning_summary {on:%Y-%m-%d}",
        title,
        tuple(f"{'! ' if item.person else ''}{item.what}: {item.count:,} {item.said}".rstrip() for item in said),
        "vivesphere today",
        link,
    )


def of_run(deployment: str, state: str, run: str, link: str) -> Alarm:
    """A run that did not come to a good end. Its message stays in its log: it may hold what is nobody else's."""
    return Alarm(
        "run_failed",
        f"run_failed {deployment}",
        f"{deployment} {state}",
        (f"The run '{run}' {state}.",),
        "read the run's log",
        link,
    )


def of_part(part: str, said: str) -> Alarm:
    """A part of the stack that does not come up again."""
    return Alarm("part_down", f"part_down {part}", f"{part} is down", (said,), "vivesphere status")


def of_test(channel: str, request_id: UUID) -> Alarm:
    """A word that is of no consequence, said each time somebody asks for it."""
    return Alarm("test", f"test {request_id}", f"A test of the channel {channel}", ("Nothing is wrong.",))
