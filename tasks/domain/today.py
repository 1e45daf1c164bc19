"""What a morning needs to know: what went out, what did not, and what waits for a person."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

What = Literal[
    "went out",
    "refused",
    "expired",
    "late",
    "unknown",
    "held",
    "approval",
    "needs login",
    "suspended",
    "limited",
    "stopped",
    "breaker open",
    "budget",
    "token old",
    "key ends",
    "not sealed",
    "nobody sends",
]

# A run takes what falls due within seconds, and reconciliation settles what is unknown within minutes.
LATE = timedelta(seconds=10)
LATE_FOR_A_PERSON = timedelta(minutes=5)
UNKNOWN_FOR_A_PERSON = timedelta(minutes=15)
# The refresher renews a token before this much of its life is left.
TOKEN_LEFT = timedelta(minutes=3)
KEY_LEFT = timedelta(days=7)
# Of a month's money; beyond it the month is tight.
BUDGET_SHARE = Decimal("0.8")
UNSEALED_FOR_A_PERSON = timedelta(minutes=1)


@dataclass(frozen=True)
class Some:
    """A number of things, the instant of the oldest, and the names of the first few."""

    count: int = 0
    oldest: datetime | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Silence:
    """A stop or a breaker that stands: over what, why, since when and until when."""

    over: str
    why: str
    since: datetime
    ends_at: datetime | None


@dataclass(frozen=True)
class Budget:
    """An app's money of this month: what is booked, what it will be with everything scheduled, and what there is."""

    app: str
    booked_usd: Decimal
    forecast_usd: Decimal
    budget_usd: Decimal


@dataclass(frozen=True)
class Facts:
    """What is counted; `tokens` are access tokens near their end of bots that may speak."""

    now: datetime
    published: int = 0
    refused: Some = Some()
    expired: Some = Some()
    late: Some = Some()
    doubtful: Mapping[str, Some] | None = None
    approvals: Some = Some()
    bots: Mapping[str, Some] | None = None
    limited: Some = Some()
    stops: Sequence[Silence] = ()
    breakers: Sequence[Silence] = ()
    budgets: Sequence[Budget] = ()
    tokens: Some = Some()
    keys: Some = Some()
    unsealed: Some = Some()
    senders_alive: int = 0


@dataclass(frozen=True)
class Item:
    """One line: what it is, how many, what there is to say, what to do next, and whether a person must."""

    what: What
    count: int
    said: str = ""
    do: str = ""
    person: bool = False


def items(facts: Facts) -> tuple[Item, ...]:
    """Everything that there is to say; what needs a person comes first."""
    found = list(_items(facts))
    return tuple(sorted(found, key=lambda item: not item.person))


def _items(facts: Facts) -> Iterator[Item]:
    yield Item("went out", facts.published)
    if facts.refused.count:
        yield Item(
            "refused", facts.refused.count, "by the gate or by X, for good", "vivesphere posts list --status refused"
        )
    if facts.expired.count:
        yield Item("expired", facts.expired.count, "too late to be sent", "vivesphere posts list --status expired")
    yield from _on_their_way(facts)
    yield from _approvals(facts)
    yield from _bots(facts)
    for stop in facts.stops:
        yield Item("stopped", 1, _silenced(stop), "vivesphere resume, once the reason is gone")
    for breaker in facts.breakers:
        yield Item(
            "breaker open",
            1,
            _silenced(breaker),
            "put it right on X's pages, then `vivesphere breakers close ID`",
            person=True,
        )
    for one in facts.budgets:
        if one.forecast_usd > one.budget_usd * BUDGET_SHARE:
            booked = f"{one.app}: ${one.booked_usd:.2f} of ${one.budget_usd:.2f} booked"
            said = f"{booked}, ${one.forecast_usd:.2f} with what is scheduled"
            yield Item("budget", 1, said, "vivesphere spend --by app", one.forecast_usd > one.budget_usd)
    if facts.keys.count:
        yield Item("key ends", facts.keys.count, _named(facts.keys), "make new keys before these end")
    if _older(facts.unsealed, facts.now, UNSEALED_FOR_A_PERSON):
        said = f"rows of the audit wait for a seal{_since(facts.unsealed)}"
        yield Item(
            "not sealed", facts.unsealed.count, said, "vivesphere status; see the clerk and the vault", person=True
        )


def _on_their_way(facts: Facts) -> Iterator[Item]:
    if facts.late.count and not facts.senders_alive:
        said = f"posts are due and no run is alive{_since(facts.late)}"
        yield Item("nobody sends", facts.late.count, said, "vivesphere doctor", person=True)
    elif facts.late.count:
        person = _older(facts.late, facts.now, LATE_FOR_A_PERSON)
        yield Item("late", facts.late.count, f"the oldest due{_since(facts.late)}", "vivesphere posts why ID", person)
    doubtful = facts.doubtful or {}
    if unknown := doubtful.get("unknown"):
        person = _older(unknown, facts.now, UNKNOWN_FOR_A_PERSON)
        do = "vivesphere posts list --status unknown" if person else "wait: the timeline is read"
        yield Item("unknown", unknown.count, f"may be out or not{_since(unknown)}", do, person)
    if held := doubtful.get("held"):
        do = "vivesphere posts list --status held, and settle each"
        yield Item("held", held.count, f"nobody knows whether they are out{_since(held)}", do, person=True)


def _approvals(facts: Facts) -> Iterator[Item]:
    if waiting := facts.approvals.count:
        yield Item("approval", waiting, "wait for a person to approve them", "vivesphere approvals list", person=True)


def _bots(facts: Facts) -> Iterator[Item]:
    bots = facts.bots or {}
    if lost := bots.get("needs_login"):
        yield Item("needs login", lost.count, _named(lost), "vivesphere bots login HANDLE", person=True)
    if suspended := bots.get("suspended"):
        yield Item(
            "suspended",
            suspended.count,
            _named(suspended),
            "appeal or unlock on X; `vivesphere breakers list`",
            person=True,
        )
    if facts.limited.count:
        said = f"far fewer see their posts than used to: {_named(facts.limited)}"
        do = "stop and review: vivesphere metrics bot HANDLE, vivesphere stop --bot HANDLE"
        yield Item("limited", facts.limited.count, said, do, person=True)
    if facts.tokens.count:
        ended = facts.tokens.oldest is not None and facts.tokens.oldest <= facts.now
        said = f"{'ended' if ended else 'end soon'} and not renewed: {_named(facts.tokens)}"
        yield Item("token old", facts.tokens.count, said, "vivesphere status; see the refresher's log", person=ended)


def _older(some: Some, now: datetime, than: timedelta) -> bool:
    return some.oldest is not None and now - some.oldest > than


def _since(some: Some) -> str:
    return f", since {some.oldest:%Y-%m-%d %H:%M} UTC" if some.oldest else ""


def _named(some: Some) -> str:
    more = some.count - len(some.names)
    return ", ".join(some.names) + (f" and {more} more" if more > 0 else "")


def _silenced(silence: Silence) -> str:
    until = f" until {silence.ends_at:%Y-%m-%d %H:%M} UTC" if silence.ends_at else ""
    return f"{silence.over}{until}: {silence.why}"
