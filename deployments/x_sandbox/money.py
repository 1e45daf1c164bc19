"""What this X charges, who has credit left, and how much an app has read this month."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from deployments.x_sandbox.ledger import Entry

MILLIONTHS = 1_000_000
"""Sums are kept in millionths of a dollar, for floats would drift."""
ENDPOINTS = {"create": "POST /2/tweets", "delete": "DELETE /2/tweets/{id}"}
"""Of ledger entries that charge for themselves; others name their endpoint."""
CAPPED_PRICE = "post_read"


def day_of(instant: float) -> date:
    """The UTC day of an instant; X charges for a thing once in it."""
    return datetime.fromtimestamp(instant, UTC).date()


@dataclass(slots=True)
class Spent:
    """What was charged for, and how much it came to."""

    requests: int = 0
    millionths: int = 0

    @property
    def usd(self) -> float:
        """The sum in dollars."""
        return self.millionths / MILLIONTHS

    def add(self, millionths: int) -> None:
        """One more request that cost something."""
        self.requests += 1
        self.millionths += millionths


@dataclass(slots=True)
class Money:
    """Spending by app and endpoint and by account; credits and reads by owner."""

    by_endpoint: dict[tuple[str, str], Spent] = field(default_factory=dict)
    by_account: dict[str, Spent] = field(default_factory=dict)
    _credits: dict[str, int] = field(default_factory=dict)
    _reads: dict[str, Counter[date]] = field(default_factory=dict)
    _seen: dict[tuple[str, str], tuple[date, set[str]]] = field(default_factory=dict)

    def unseen(self, client_id: str, price: str, things: Iterable[str], now: float) -> list[str]:
        """Those of the things that the app has not been charged for today."""
        day, seen = self._seen.get((client_id, price), (None, set()))
        return [thing for thing in dict.fromkeys(things) if day != day_of(now) or thing not in seen]

    def depleted(self, *owners: str | None) -> bool:
        """Whether one of these apps and accounts has used up its credits; X lets a balance fall a little below zero."""
        return bool(self._credits) and any(self._credits.get(owner or "", 1) <= 0 for owner in owners)

    def left_usd(self, owner: str) -> float | None:
        """Credits of an app or account; None is as many as it likes."""
        millionths = self._credits.get(owner)
        return None if millionths is None else millionths / MILLIONTHS

    def read_in_month(self, client_id: str, now: float) -> int:
        """Posts that an app has read in the calendar month, each once a day."""
        month = day_of(now).replace(day=1)
        return sum(count for day, count in self._reads.get(client_id, {}).items() if day.replace(day=1) == month)

    def read_on(self, client_id: str, days: Iterable[date]) -> Iterator[tuple[date, int]]:
        """Posts that an app read on each of these days."""
        return ((day, self._reads.get(client_id, Counter())[day]) for day in days)

    def apply_credits(self, entry: Entry) -> None:
        """Set the balance of an owner, or let it spend without end."""
        if entry["usd"] is None:
            self._credits.pop(entry["owner"], None)
        else:
            self._credits[entry["owner"]] = round(entry["usd"] * MILLIONTHS)

    def apply(self, entry: Entry) -> None:
        """Book an entry that has a price."""
        millionths = round(entry["usd"] * MILLIONTHS)
        client_id, account_id = entry["client_id"], entry.get("account_id")
        endpoint = entry.get("endpoint") or ENDPOINTS[entry["kind"]]
        self.by_endpoint.setdefault((client_id, endpoint), Spent()).add(millionths)
        if account_id:
            self.by_account.setdefault(account_id, Spent()).add(millionths)
        for owner in (client_id, account_id):
            if owner in self._credits:
                self._credits[owner] -= millionths
        if things := entry.get("things"):
            self._see(client_id, entry["price"], things, datetime.fromisoformat(entry["at"]).date())

    def _see(self, client_id: str, price: str, things: list[str], day: date) -> None:
        if self._seen.get((client_id, price), (None, set()))[0] != day:
            self._seen[client_id, price] = (day, set())
        self._seen[client_id, price][1].update(things)
        if price == CAPPED_PRICE:
            self._reads.setdefault(client_id, Counter())[day] += len(things)
