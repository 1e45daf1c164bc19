"""The plan of a run of metrics: what is due, and what of it today's money pays."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from config.settings import Metrics as MetricsSettings
from tasks.connections import Connections
from tasks.domain import sampling as rules
from tasks.domain.sampling import Ladder, Level
from tasks.operations import governor
from tasks.store import base, metrics, sampling
from tasks.store.sampling import AppDue


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
