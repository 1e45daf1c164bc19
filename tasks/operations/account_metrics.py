"""Metrics of accounts: how they stand at their scheduled instants."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from blocks.x import insights
from blocks.x.insights import MeasuredUser
from tasks.connections import Connections
from tasks.domain import sampling as rules
from tasks.operations import metric_readings
from tasks.operations.access_tokens import AccessToken
from tasks.operations.credentials import access_tokens
from tasks.operations.metric_batches import (
    NO_TOKEN,
    READERS_TRIED,
    Collected,
    again_at,
    by_app,
    hundreds,
    side_by_side,
)
from tasks.operations.metric_readings import Reader, Reading
from tasks.store import base, metrics, sampling
from tasks.store.metrics import AccountSnapshot
from tasks.store.sampling import AccountRead, DueAccount

ACCOUNTS = "GET /2/users"


async def collect(at: Connections) -> Collected:
    """Read the accounts that are due, a hundred at a time, and write down how they stand."""
    settings, total = at.places.settings.metrics, Collected()
    while True:
        async with at.transaction() as session:
            now = await base.now(session)
            due = await sampling.take_accounts(session, now, timedelta(seconds=settings.lease_seconds), settings.batch)
        if not due:
            return total
        batches = [part for of_app in by_app(due).values() for part in hundreds(of_app)]
        for part, reading in zip(
            batches, await side_by_side(at, (_read_accounts(at, part, now) for part in batches)), strict=True
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
    every = timedelta(seconds=at.places.settings.metrics.account_seconds)
    bucket_at, done = rules.floor(now, every), Collected(reading.calls, billed=reading.billed)
    snapshots, read = [], []
    for one in due:
        found, absence = reading.found.get(one.x_user_id), reading.absent.get(one.x_user_id)
        if found is None and absence is None:
            done.waiting[reading.problem or "X said nothing of it"] += 1
            read.append(AccountRead(one.bot_id, bucket_at, again_at(at, reading, now), None, None))
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
