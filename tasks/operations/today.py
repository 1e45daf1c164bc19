"""What went out and what needs a person, in one look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.connections import Connections
from tasks.domain import today as rules
from tasks.domain.today import Budget, Facts, Item, Some
from tasks.operations import audit, spend
from tasks.operations.delivery import BEATS_MISSED
from tasks.store import base, provenance, today

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Today:
    """Items since an instant; `person_needed` where one of them waits for a person."""

    since: datetime
    now: datetime
    items: Sequence[Item]

    @property
    def person_needed(self) -> bool:
        """Whether somebody must do something."""
        return any(item.person for item in self.items)


async def look(at: Connections, since: datetime | None, labels: frozenset[str] | None) -> Today:
    """Everything since an instant (absent: for a day), of bots that bear one of the labels (None: of all)."""
    alive = timedelta(seconds=BEATS_MISSED * at.places.settings.posting.beat_seconds)
    sealing = await audit.sealing(at) if labels is None else None
    # An app's money is of no label.
    lines = (await spend.month(at, None, "app", None)).lines if labels is None else ()
    async with at.transaction() as session:
        now = await base.now(session)
        since = since or now - DAY
        failed = await today.failed(session, since, labels)
        facts = Facts(
            now,
            published=await today.published(session, since, labels),
            refused=failed.get("refused", Some()),
            expired=failed.get("expired", Some()),
            late=await today.late(session, now - rules.LATE, labels),
            doubtful=await today.doubtful(session, labels),
            approvals=await today.awaiting_approval(session, labels),
            bots=await today.bots_in_trouble(session, labels),
            limited=await today.limited(session, labels),
            stops=await today.stops(session, labels),
            breakers=await today.breakers(session, labels),
            budgets=[
                Budget(line.name, line.booked_usd, line.forecast_usd, line.budget_usd)
                for line in lines
                if line.budget_usd is not None
            ],
            tokens=await today.old_tokens(session, now + rules.TOKEN_LEFT, labels),
            # Keys and the audit are the whole house's, and shown to whom it is shown to.
            keys=await today.ending_keys(session, now + rules.KEY_LEFT) if labels is None else Some(),
            unsealed=Some(sealing.waiting, sealing.oldest) if sealing else Some(),
            senders_alive=await provenance.senders_alive(session, alive),
        )
    return Today(since, now, rules.items(facts))
