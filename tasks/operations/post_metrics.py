"""Metrics of posts: what they achieved, read from X at instants that follow from their age."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from blocks.x import insights
from blocks.x.insights import MeasuredPost
from tasks.connections import Connections
from tasks.domain import sampling as rules
from tasks.domain.roles import system
from tasks.domain.sampling import Ladder
from tasks.operations import activity, metric_readings
from tasks.operations.access_tokens import AccessToken
from tasks.operations.credentials import AccessTokens, access_tokens
from tasks.operations.metric_batches import (
    NO_TOKEN,
    READERS_TRIED,
    Collected,
    again_at,
    by_app,
    hundreds,
    side_by_side,
)
from tasks.operations.metric_plan import ladder
from tasks.operations.metric_readings import Reader, Reading
from tasks.store import base, deletions, metrics, sampling
from tasks.store.metrics import PostSnapshot
from tasks.store.sampling import DuePost, PostRead

POSTS = "GET /2/tweets"
FIRST_BOT = UUID(int=0)


async def collect(at: Connections) -> Collected:
    """Read the posts that are due, a hundred at a time, while what was read before is written down."""
    settings, total, from_bot = at.places.settings.metrics, Collected(), FIRST_BOT
    writing: asyncio.Task[Collected] | None = None
    try:
        while True:
            async with at.transaction() as session:
                now = await base.now(session)
                lease = timedelta(seconds=settings.lease_seconds)
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
    found = await side_by_side(at, (_read_batch(at, batch, now) for batch in batches))
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
        for part in hundreds(of_bot):
            yield _Batch(part, readers[bot_id], private=True)
    for app_id, of_app in by_app(rest).items():
        reader = next((reader for reader in readers.values() if reader.x_app_id == app_id), None)
        for part in hundreds(of_app):
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
        return PostRead(one.post_id, bucket_at, again_at(at, reading, now), None, one.missing_since, one.fate)
    since, wait = one.missing_since or now, timedelta(seconds=at.places.settings.metrics.gone_after_seconds)
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
