"""Metrics: what posts and accounts achieved, read from X at their scheduled instants for what the budget allows."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from blocks.x import insights
from blocks.x.insights import MeasuredPost, MeasuredUser
from config.settings import Metrics as MetricsSettings
from tasks.connections import Connections
from tasks.domain import sampling as rules
from tasks.domain.roles import system
from tasks.domain.sampling import IDS_MOST, Ladder, Level
from tasks.operations import activity, governor, metric_readings
from tasks.operations.access_tokens import AccessToken
from tasks.operations.credentials import AccessTokens, access_tokens
from tasks.operations.metric_readings import Reader, Reading
from tasks.store import base, deletions, metrics, sampling
from tasks.store.metrics import AccountSnapshot, PostSnapshot
from tasks.store.sampling import AccountRead, AppDue, DueAccount, DuePost, PostRead

POSTS, ACCOUNTS = "GET /2/tweets", "GET /2/users"
FIRST_BOT = UUID(int=0)
NO_TOKEN = "no bot of its app has a token that serves"  # noqa: S105  # nosec B105
# So many bots of an app are tried until X lets one look at accounts.
READERS_TRIED = 5
T = TypeVar("T")


def ladder(wanted: MetricsSettings) -> Ladder:
    """When posts are read, as the settings have it; a level that would end before it begins is left out."""
    levels: list[Level] = []
    for until, every in (
        (timedelta(hours=wanted.dense_hours), timedelta(seconds=wanted.dense_seconds)),
        (timedelta(hours=wanted.hourly_hours), timedelta(hours=1)),
        (timedelta(days=wanted.daily_days), timedelta(days=1)),
    ):
        if not levels or until > levels[-1].until:
            levels.append(Level(until, every))
    return Ladder(levels)


@dataclass(frozen=True)
class AppPlan:
    """What a run reads of one app's bots now, what of it waits for money, and what X will charge.

    `calls` is an upper bound: posts of several bots share a request where they can. `allowance_usd` is what readings
    may still cost today, None where the app has no budget.
    """

    app: str | None
    accounts: int
    posts: int
    put_off: int
    calls: int
    billed: int
    usd: Decimal
    allowance_usd: Decimal | None


@dataclass(frozen=True)
class Plan:
    """A run before it begins."""

    at: datetime
    apps: Sequence[AppPlan]

    @property
    def calls(self) -> int:
        """Requests in all."""
        return sum(app.calls for app in self.apps)

    @property
    def usd(self) -> Decimal:
        """What they cost in all."""
        return sum((app.usd for app in self.apps), Decimal(0))


async def plan(at: Connections) -> Plan:
    """What a run would read now and what X would charge for it; nothing is read and nothing is kept."""
    async with at.transaction() as session:
        await _enrol(at, session)
        now = await base.now(session)
        found = await sampling.due(session, now, rules.utc_day(now))
        await session.rollback()
    return Plan(now, [_fit(at, due, now).plan for due in found])


async def prepare(at: Connections) -> Plan:
    """Take up what is new, and let wait until X's next day what today's allowance does not pay."""
    async with at.transaction() as session:
        await _enrol(at, session)
        now = await base.now(session)
        today, tomorrow = rules.utc_day(now), rules.next_utc_day(now)
        # Ahead of it they are made by maintenance; a stack that was down for months must not lose its first run.
        await metrics.make_months(session, rules.utc_day(now - timedelta(days=1)), today)
        fits = [_fit(at, due, now) for due in await sampling.due(session, now, today)]
        for fit in fits:
            if fit.app_id is not None and fit.plan.put_off:
                await sampling.put_off(
                    session, fit.app_id, now, today, tomorrow, posts=fit.posts, accounts=fit.accounts
                )
    return Plan(now, [fit.plan for fit in fits])


async def _enrol(at: Connections, session: AsyncSession) -> None:
    wanted = ladder(at.places.settings.metrics)
    await sampling.enrol(session, wanted.until, wanted.levels[0].every)


@dataclass(frozen=True)
class _Fit:
    """How many posts and accounts that X would charge for are read."""

    app_id: UUID | None
    posts: int
    accounts: int
    plan: AppPlan


def _fit(at: Connections, due: AppDue, now: datetime) -> _Fit:
    prices = governor.tables(at).prices.usd
    account_usd, post_usd = prices["user_read"], prices["post_read"]
    accounts, wanted, allowance = due.accounts_unpaid, due.posts_unpaid, None
    if due.monthly_budget_usd is not None:
        share, before = at.places.settings.metrics.budget_share, due.read_usd - due.read_today_usd
        allowance = rules.allowance_usd(due.monthly_budget_usd, share, before, due.read_today_usd, rules.utc_day(now))
        accounts = min(accounts, rules.affordable(allowance, account_usd))
        wanted = min(wanted, rules.affordable(allowance - accounts * account_usd, post_usd))
    put_off = due.accounts_unpaid - accounts + due.posts_unpaid - wanted
    read_accounts, read_posts = due.accounts - due.accounts_unpaid + accounts, due.posts - due.posts_unpaid + wanted
    planned = AppPlan(
        app=due.app,
        accounts=read_accounts,
        posts=read_posts,
        put_off=put_off,
        calls=rules.batches(read_accounts) + min(read_posts, due.post_calls),
        billed=accounts + wanted,
        usd=accounts * account_usd + wanted * post_usd,
        allowance_usd=allowance,
    )
    return _Fit(due.x_app_id, wanted, accounts, planned)


@dataclass
class Collected:
    """What a run read: requests, snapshots that said something new, things that X charges for; what is gone from X by
    what became of it, and what waits by the reason."""

    calls: int = 0
    snapshots: int = 0
    billed: int = 0
    gone: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Collected") -> None:
        """Put the counts of another one to these."""
        self.calls += other.calls
        self.snapshots += other.snapshots
        self.billed += other.billed
        self.gone += other.gone
        self.waiting += other.waiting


async def collect_accounts(at: Connections) -> Collected:
    """Read the accounts that are due, a hundred at a time, and write down how they stand."""
    settings, total = at.places.settings.metrics, Collected()
    while True:
        async with at.transaction() as session:
            now = await base.now(session)
            due = await sampling.take_accounts(session, now, _seconds(settings.lease_seconds), settings.batch)
        if not due:
            return total
        batches = [part for of_app in _by_app(due).values() for part in _hundreds(of_app)]
        for part, reading in zip(
            batches, await _side_by_side(at, (_read_accounts(at, part, now) for part in batches)), strict=True
        ):
            total.add(await _write_accounts(at, part, reading, now))


async def _read_accounts(at: Connections, due: Sequence[DueAccount], now: datetime) -> Reading:
    """A lookup by the first of a few bots whom X lets look."""
    today = rules.utc_day(now)
    paid = {one.x_user_id: one.paid_on == today for one in due}
    reading, calls = Reading(problem=NO_TOKEN), 0
    for one in due[:READERS_TRIED]:
        token = (await access_tokens(at, [one.bot_id], now))[one.bot_id]
        if not isinstance(token, AccessToken):
            continue
        reading = await metric_readings.read(
            at,
            ACCOUNTS,
            Reader(one.bot_id, one.x_app_id, token.value),
            paid,
            lambda authorization, ids: insights.user_metrics(at.x.caller, authorization, ids),
        )
        calls += reading.calls
        if reading.reader_suspended:
            reading.suspended.add(one.x_user_id)
            reading.absent[one.x_user_id] = "hidden"
        elif reading.observed_at or reading.retry_at:
            break
    reading.calls = calls
    return reading


async def _write_accounts(at: Connections, due: Sequence[DueAccount], reading: Reading, now: datetime) -> Collected:
    every = _seconds(at.places.settings.metrics.account_seconds)
    bucket_at, done = rules.floor(now, every), Collected(reading.calls, billed=reading.billed)
    snapshots, read = [], []
    for one in due:
        found, absence = reading.found.get(one.x_user_id), reading.absent.get(one.x_user_id)
        if found is None and absence is None:
            done.waiting[reading.problem or "X said nothing of it"] += 1
            read.append(AccountRead(one.bot_id, bucket_at, _again_at(at, reading, now), None, None))
            continue
        protected = found.protected if isinstance(found, MeasuredUser) else None
        state = rules.account_state(protected, absence, one.x_user_id in reading.suspended)
        paid_on = rules.utc_day(now) if found else None
        read.append(AccountRead(one.bot_id, bucket_at + every, None, paid_on, state))
        if isinstance(found, MeasuredUser) and reading.observed_at:
            snapshots.append(_account_snapshot(one, found, bucket_at, reading.observed_at))
    async with at.transaction() as session:
        done.snapshots = await metrics.add_accounts(session, snapshots)
        await sampling.settle_accounts(session, read)
    return done


async def collect_posts(at: Connections) -> Collected:
    """Read the posts that are due, a hundred at a time, while what was read before is written down."""
    settings, total, from_bot = at.places.settings.metrics, Collected(), FIRST_BOT
    writing: asyncio.Task[Collected] | None = None
    try:
        while True:
            async with at.transaction() as session:
                now = await base.now(session)
                lease = _seconds(settings.lease_seconds)
                due = await sampling.take_posts(session, now, lease, settings.batch, from_bot)
            read = await _read_posts(at, due, now) if due else []
            if writing is not None:
                total.add(await writing)
            if not due:
                return total
            from_bot = due[-1].bot_id
            writing = asyncio.create_task(_write_posts(at, read, now))
    finally:
        if writing is not None:
            await writing  # what was read and paid for is kept, whatever happened since


@dataclass(frozen=True)
class _Batch:
    """Posts of one request, and who asks; private counts are had by their author alone."""

    due: Sequence[DuePost]
    reader: Reader | None
    private: bool


async def _read_posts(at: Connections, due: Sequence[DuePost], now: datetime) -> list[tuple[_Batch, Reading]]:
    tokens = await access_tokens(at, {one.bot_id for one in due}, now)
    readers = {
        one.bot_id: Reader(one.bot_id, one.x_app_id, token.value)
        for one in due
        if isinstance(token := tokens[one.bot_id], AccessToken)
    }
    lonely = {one.x_app_id for one in due} - {reader.x_app_id for reader in readers.values()}
    for app_id in lonely:
        readers |= await _readers_of(at, app_id, now)
    batches = list(_batches(due, readers, now))
    found = await _side_by_side(at, (_read_batch(at, batch, now) for batch in batches))
    # What a run remembers must not grow with the fleet.
    for bot_id in readers:
        at.kept(AccessTokens, AccessTokens).forget(bot_id)
    return list(zip(batches, found, strict=True))


async def _readers_of(at: Connections, app_id: UUID | None, now: datetime) -> dict[UUID, Reader]:
    """Bots of an app, a few, that have nothing due themselves and a token that serves."""
    async with at.transaction() as session:
        bot_ids = await sampling.active_bots(session, app_id, READERS_TRIED)
    tokens = await access_tokens(at, bot_ids, now)
    return {
        bot_id: Reader(bot_id, app_id, token.value)
        for bot_id, token in tokens.items()
        if isinstance(token, AccessToken)
    }


def _batches(due: Sequence[DuePost], readers: Mapping[UUID, Reader], now: datetime) -> Iterable[_Batch]:
    """A bot's own posts as long as X gives their private counts; all others of an app together, read by any of its
    bots."""
    own: dict[UUID, list[DuePost]] = defaultdict(list)
    rest: list[DuePost] = []
    for one in due:
        is_own = one.bot_id in readers and rules.wants_private(one.published_at, now)
        (own[one.bot_id] if is_own else rest).append(one)
    for bot_id, of_bot in own.items():
        for part in _hundreds(of_bot):
            yield _Batch(part, readers[bot_id], private=True)
    for app_id, of_app in _by_app(rest).items():
        reader = next((reader for reader in readers.values() if reader.x_app_id == app_id), None)
        for part in _hundreds(of_app):
            yield _Batch(part, reader, private=False)


async def _read_batch(at: Connections, batch: _Batch, now: datetime) -> Reading:
    if batch.reader is None:
        return Reading(problem=NO_TOKEN)
    today = rules.utc_day(now)
    paid = {one.x_post_id: one.paid_on == today for one in batch.due}
    return await metric_readings.read(
        at,
        POSTS,
        batch.reader,
        paid,
        lambda authorization, ids: insights.post_metrics(at.x.caller, authorization, ids, private=batch.private),
    )


async def _write_posts(at: Connections, read: Sequence[tuple[_Batch, Reading]], now: datetime) -> Collected:
    """All that a page brought, in one transaction: a run that dies before leaves its posts due."""
    done, wanted = Collected(), ladder(at.places.settings.metrics)
    snapshots: list[PostSnapshot] = []
    settled: list[PostRead] = []
    missed: set[UUID] = set()
    for batch, reading in read:
        done.calls += reading.calls
        done.billed += reading.billed
        for one in batch.due:
            bucket_at = wanted.latest(one.published_at, now) or one.published_at
            after = _after(at, one, reading, wanted, bucket_at, now)
            settled.append(after)
            found = reading.found.get(one.x_post_id)
            if isinstance(found, MeasuredPost) and reading.observed_at:
                snapshots.append(_post_snapshot(one, found, bucket_at, reading.observed_at))
            elif after.missing_since is not None:
                missed.add(one.bot_id)
                if after.fate not in (None, one.fate):
                    done.gone[str(after.fate)] += 1
            else:
                done.waiting[reading.problem or "X said nothing of it"] += 1
    gone = {one.post_id: one.fate for one in settled if one.fate}
    async with at.transaction() as session:
        done.snapshots = await metrics.add_posts(session, snapshots)
        await sampling.settle_posts(session, settled)
        await sampling.look_at_accounts(session, missed)
        for one in (one for batch, _ in read for one in batch.due):
            if gone.get(one.post_id, one.fate) != one.fate:
                await _note_gone(session, one, gone[one.post_id])
    return done


async def _note_gone(session: AsyncSession, one: DuePost, fate: rules.Fate) -> None:
    if fate == "deleted":
        await deletions.done(session, one.post_id, "X does not have it any more; nobody deleted it here")
    await activity.remark(
        session, system("metrics"), "posts.gone", str(one.post_id), "activity", bot=one.handle, fate=fate
    )


def _after(
    at: Connections, one: DuePost, reading: Reading, wanted: Ladder, bucket_at: datetime, now: datetime
) -> PostRead:
    """Where a post goes after this reading."""
    absence = "hidden" if reading.reader_suspended else reading.absent.get(one.x_post_id)
    following = wanted.following(one.published_at, max(bucket_at, one.published_at))
    if one.x_post_id in reading.found:
        return PostRead(one.post_id, following, None, rules.utc_day(now), None, None)
    if absence is None:
        return PostRead(one.post_id, bucket_at, _again_at(at, reading, now), None, one.missing_since, one.fate)
    since, wait = one.missing_since or now, _seconds(at.places.settings.metrics.gone_after_seconds)
    if one.missing_since is None or not rules.is_sure(since, now, wait):
        return PostRead(one.post_id, bucket_at, since + wait, None, since, one.fate)
    fate = rules.fate(absence, "suspended" if reading.reader_suspended else one.account)
    return PostRead(one.post_id, None if fate == "deleted" else following, None, None, since, fate)


def _post_snapshot(one: DuePost, found: MeasuredPost, bucket_at: datetime, observed_at: datetime) -> PostSnapshot:
    public, private, organic = found.public_metrics, found.non_public_metrics, found.organic_metrics
    return PostSnapshot(
        one.post_id,
        one.bot_id,
        bucket_at,
        observed_at,
        *(
            (
                public.impression_count,
                public.like_count,
                public.repost_count,
                public.reply_count,
                public.quote_count,
                public.bookmark_count,
            )
            if public
            else (None,) * len(metrics.PUBLIC)
        ),
        *(
            (private.engagements, private.url_link_clicks, private.user_profile_clicks)
            if private
            else (None,) * len(metrics.PRIVATE)
        ),
        *(
            (
                organic.impression_count,
                organic.like_count,
                organic.repost_count,
                organic.reply_count,
                organic.url_link_clicks,
                organic.user_profile_clicks,
            )
            if organic
            else (None,) * len(metrics.ORGANIC)
        ),
    )


def _account_snapshot(
    one: DueAccount, found: MeasuredUser, bucket_at: datetime, observed_at: datetime
) -> AccountSnapshot:
    counts = found.public_metrics
    return AccountSnapshot(
        one.bot_id,
        bucket_at,
        observed_at,
        *(
            (counts.followers_count, counts.following_count, counts.listed_count, counts.post_count)
            if counts
            else (None,) * len(metrics.ACCOUNT)
        ),
    )


def _again_at(at: Connections, reading: Reading, now: datetime) -> datetime:
    """When what was not read is due again; money that is gone until next month may be there sooner."""
    again_at = reading.retry_at or now + _seconds(at.places.settings.metrics.lease_seconds)
    return min(again_at, rules.next_utc_day(now))


async def _side_by_side(at: Connections, readings: Iterable[Awaitable[Reading]]) -> list[Reading]:
    slots = asyncio.Semaphore(at.places.settings.metrics.readers)

    async def one(reading: Awaitable[Reading]) -> Reading:
        async with slots:
            return await reading

    return await asyncio.gather(*map(one, readings))


def _by_app(due: Sequence[T]) -> Mapping[UUID | None, list[T]]:
    found: dict[UUID | None, list[T]] = defaultdict(list)
    for one in due:
        found[one.x_app_id].append(one)  # type: ignore[attr-defined]  # both kinds have it
    return found


def _hundreds(due: Sequence[T]) -> Iterable[Sequence[T]]:
    return (due[first : first + IDS_MOST] for first in range(0, len(due), IDS_MOST))


def _seconds(number: float) -> timedelta:
    return timedelta(seconds=number)
