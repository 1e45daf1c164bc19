"""What there is to tell those who watch over the fleet: one short transaction, and a few questions to Prefect."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from blocks.prefect_api import FlowRun, PrefectApi
from tasks.connections import Connections
from tasks.domain.limits import counted_span
from tasks.domain.today import Some
from tasks.operations import audit, governor
from tasks.operations.audit import Sealing
from tasks.operations.delivery import BEATS_MISSED
from tasks.store import base, monitoring, notifications, provenance, today, trends
from tasks.store.monitoring import AppMoney, AppRoom, EndedAttempt, Expiry, FailedPost, Window
from tasks.store.notifications import EndedDelivery
from tasks.store.trends import Health

SOON = timedelta(hours=1)
# A row shows once its transaction ends, which may be a while after the instant that it bears.
OVERLAP = timedelta(seconds=60)
# Upper bounds of the buckets of lateness: within a second is promised, and after half a minute a post is late.
LATENESS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
# States in which a run waits or works, by Prefect's names for them.
OPEN_STATES = ("Late", "Pending", "Running", "Paused", "Cancelling")
RUNS_AT_ONCE = 200


@dataclass
class Lateness:
    """Posts by the bucket that they fall into, and the sum of their seconds."""

    buckets: Counter[float] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more; what left early is not late."""
        late = max(0.0, seconds)
        self.buckets[next((bound for bound in LATENESS_SECONDS if late <= bound), float("inf"))] += 1
        self.seconds += late


@dataclass
class Tally:
    """What ended since this process first looked: a counter begins anew with its process, as Prometheus expects."""

    begun: datetime
    attempts: Counter[str] = field(default_factory=Counter)
    posts: Counter[str] = field(default_factory=Counter)
    posts_of_bots: Counter[tuple[str, str]] = field(default_factory=Counter)
    lateness: Lateness = field(default_factory=Lateness)
    notifications: Counter[tuple[str, str]] = field(default_factory=Counter)
    _looked_at: datetime | None = None
    _counted: dict[tuple[UUID, str], datetime] = field(default_factory=dict)

    @property
    def since(self) -> datetime:
        """Whatever ended after this may not be counted yet."""
        return max(self.begun, self._looked_at - OVERLAP) if self._looked_at else self.begun

    def add(
        self,
        attempts: Sequence[EndedAttempt],
        posts: Sequence[FailedPost],
        told: Sequence[EndedDelivery],
        now: datetime,
    ) -> None:
        """Count each end once."""
        for attempt in attempts:
            if self._is_new(attempt.id, attempt.ended, attempt.ended_at):
                self.attempts[attempt.ended] += 1
                self._ended(attempt)
        for post in posts:
            if self._is_new(post.id, post.status, post.at):
                self._post(post.bot, post.status)
        for delivery in told:
            if self._is_new(delivery.id, delivery.state, delivery.at):
                self.notifications[delivery.kind, delivery.state] += 1
        self._looked_at = now
        self._counted = {key: at for key, at in self._counted.items() if at > self.since}

    def _ended(self, attempt: EndedAttempt) -> None:
        if attempt.ended == "unknown":
            self._post(attempt.bot, "unknown")
        if attempt.ended == "accepted":
            self._post(attempt.bot, "published")
            if attempt.late_seconds is not None:
                self.lateness.add(attempt.late_seconds)

    def _post(self, bot: str, outcome: str) -> None:
        self.posts[outcome] += 1
        self.posts_of_bots[bot, outcome] += 1

    def _is_new(self, subject: UUID, end: str, at: datetime) -> bool:
        known = (subject, end) in self._counted
        self._counted[subject, end] = at
        return not known


@dataclass
class Kept:
    """What this process has counted so far."""

    tally: Tally | None = None
    runs: "RunTally | None" = None


@dataclass(frozen=True)
class Counts:
    """The fleet at an instant of the database's clock; `token_ends` only where each bot has series of its own."""

    now: datetime
    tally: Tally
    due: Some
    silenced: Some
    due_soon: int
    doubtful: Mapping[str, Some]
    open_attempts: int
    senders_alive: int
    bots: Mapping[str, int]
    stops: Mapping[str, int]
    breakers: Mapping[str, int]
    money: Sequence[AppMoney]
    app_room: Sequence[AppRoom]
    bot_most: int
    bot_left: int
    expiries: Sequence[Expiry]
    sealing: Sealing
    trend_sources: Sequence[Health]
    trends_rising: int
    token_ends: Mapping[str, datetime] | None


async def count(at: Connections) -> Counts:
    """Count everything in one transaction, whose statements are ended when they take long."""
    settings = at.places.settings
    room = governor.room_for_posts(at)
    kept = at.kept(Kept, Kept)
    async with at.transaction() as session:
        await monitoring.be_quick(session, settings.monitoring.query_seconds)
        now = await base.now(session)
        tally = kept.tally = kept.tally or Tally(now)
        since = tally.since
        attempts = await monitoring.ended_attempts(session, since)
        failed = await monitoring.failed_posts(session, since)
        told = await notifications.ended(session, since)
        due = await monitoring.due(session, now)
        alive = timedelta(seconds=BEATS_MISSED * settings.posting.beat_seconds)
        counts = Counts(
            now,
            tally,
            due.get(True, Some()),
            due.get(False, Some()),
            await monitoring.due_between(session, now, now + SOON),
            await today.doubtful(session, None),
            await monitoring.open_attempts(session),
            await provenance.senders_alive(session, alive),
            await monitoring.bots_by_state(session),
            await monitoring.stops_by_scope(session),
            await monitoring.breakers_by_cause(session),
            await monitoring.money(session),
            await monitoring.app_room(session, _windows(at)),
            room.bot_most,
            room.bot_most - await monitoring.posts_of_the_busiest_bot(session, now - room.bot_span),
            await monitoring.expiries(session),
            await audit.sealing_seen_by(session),
            await trends.health(session),
            len(await trends.rising(session)),
            await monitoring.token_ends(session) if settings.monitoring.per_bot else None,
        )
    # Only once the transaction is through: what was read by one that failed is read again.
    tally.add(attempts, failed, told, now)
    return counts


def _windows(at: Connections) -> Sequence[Window]:
    """X's limits of an app, over the spans that the governor counts."""
    late = timedelta(seconds=at.places.settings.posting.give_up_seconds)
    return [
        Window(endpoint, limit.most, counted_span(limit, late))
        for endpoint, limits in governor.tables(at).limits.endpoints.items()
        for limit in limits
        if limit.per != "user"
    ]


@dataclass
class RunTally:
    """Runs that ended since this process first looked, and when each deployment last completed, by its name."""

    begun: datetime
    names: dict[UUID, str] = field(default_factory=dict)
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    completed_at: dict[str, datetime] = field(default_factory=dict)
    _counted: dict[UUID, datetime] = field(default_factory=dict)

    @property
    def since(self) -> datetime:
        """Whatever ended after this may not be counted yet."""
        return max(self.begun, max(self._counted.values(), default=self.begun) - OVERLAP)

    def add(self, runs: Sequence[FlowRun]) -> None:
        """Count each run once."""
        for run in runs:
            name = self.names.get(run.deployment_id) if run.deployment_id else None
            if name is None or run.ended_at is None or run.id in self._counted:
                continue
            self._counted[run.id] = run.ended_at
            self.ended[name, run.state] += 1
            if run.state == "completed":
                self.completed_at[name] = max(run.ended_at, self.completed_at.get(name, run.ended_at))
        self._counted = {run_id: at for run_id, at in self._counted.items() if at > self.since}


@dataclass(frozen=True)
class Runs:
    """Runs as Prefect's server has them: those under way by state, those that ended, and the workers that poll."""

    under_way: Mapping[str, int]
    tally: RunTally
    workers_online: int


async def runs(at: Connections) -> Runs:
    """Ask Prefect's server, whose clock is the machine's; raises PrefectError."""
    kept = at.kept(Kept, Kept)
    tally = kept.runs = kept.runs or RunTally(datetime.now(UTC))
    async with PrefectApi(at.places) as prefect:
        await _name_new_deployments(prefect, tally)
        ended, workers = await asyncio.gather(prefect.ended(tally.since, RUNS_AT_ONCE), prefect.workers_online())
        under_way = await asyncio.gather(*(prefect.count(state) for state in OPEN_STATES))
    tally.add(ended)
    return Runs(dict(zip(map(str.lower, OPEN_STATES), under_way, strict=True)), tally, workers)


async def _name_new_deployments(prefect: PrefectApi, tally: RunTally) -> None:
    """Ask once for each when it last completed: a run of each month may be older than this process."""
    for deployment in await prefect.deployments():
        if deployment.id not in tally.names:
            last = await prefect.last_completed(deployment.id)
            if last is not None and last.ended_at is not None:
                tally.completed_at[deployment.name] = last.ended_at
            tally.names[deployment.id] = deployment.name
