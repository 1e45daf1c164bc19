"""What is read when: posts that are out and accounts of bots, each with its next scheduled instant."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Date, ForeignKey, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.sampling import AccountState, Fate
from tasks.store.base import Id, Instant, app_now, metadata, values

sampled_posts = Table(
    "sampled_posts",
    metadata,
    Column("post_id", Id, ForeignKey("posts.id"), primary_key=True),
    Column("bot_id", Id, ForeignKey("bots.id"), nullable=False),
    Column("x_post_id", Text, nullable=False),
    Column("published_at", Instant, nullable=False),
    Column("next_at", Instant),
    Column("waits_until", Instant),
    Column("paid_on", Date, comment="the UTC day on which X has charged for reading it last"),
    Column("missing_since", Instant),
    Column("fate", Text),
    Column("fate_at", Instant),
    Column("erased_at", Instant),
)

sampled_accounts = Table(
    "sampled_accounts",
    metadata,
    Column("bot_id", Id, ForeignKey("bots.id"), primary_key=True),
    Column("next_at", Instant, nullable=False),
    Column("waits_until", Instant),
    Column("paid_on", Date),
    Column("state", Text, nullable=False, server_default="open"),
    Column("state_at", Instant, nullable=False, server_default=app_now),
)


@dataclass(frozen=True, slots=True)
class DuePost:
    """A post to be read now, and how its account stood when it was read last."""

    post_id: UUID
    bot_id: UUID
    x_app_id: UUID | None
    handle: str
    x_post_id: str
    published_at: datetime
    paid_on: date | None
    missing_since: datetime | None
    fate: Fate | None
    account: AccountState


@dataclass(frozen=True, slots=True)
class DueAccount:
    """An account to be read now."""

    bot_id: UUID
    x_app_id: UUID | None
    handle: str
    x_user_id: str
    paid_on: date | None


# What came out within the time that a post is read for, and is not known here yet; first due at the first whole step.
_ENROL_POSTS = text(
    """
    INSERT INTO sampled_posts (post_id, bot_id, x_post_id, published_at, next_at)
    SELECT post.id, post.bot_id, post.x_post_id, post.published_at,
        date_bin(CAST(:every AS interval), post.published_at, to_timestamp(0)) + CAST(:every AS interval)
    FROM posts AS post
    WHERE post.status = 'published' AND post.published_at > (SELECT app_now()) - CAST(:within AS interval)
        AND NOT EXISTS (SELECT 1 FROM sampled_posts AS known WHERE known.post_id = post.id)
    ON CONFLICT DO NOTHING
    """
)

_ENROL_ACCOUNTS = text(
    """
    INSERT INTO sampled_accounts (bot_id, next_at)
    SELECT id, app_now() FROM bots WHERE x_user_id IS NOT NULL AND state <> 'retired'
        AND NOT EXISTS (SELECT 1 FROM sampled_accounts AS known WHERE known.bot_id = bots.id)
    ON CONFLICT DO NOTHING
    """
)

# Ours to know without asking X: what was deleted there by our own hand.
_NOTE_DELETED = text(
    """
    UPDATE sampled_posts SET fate = 'deleted', fate_at = app_now(), next_at = NULL FROM posts AS post
    WHERE post.id = sampled_posts.post_id AND post.status = 'deleted' AND fate IS DISTINCT FROM 'deleted'
        AND erased_at IS NULL
    """
)


# Posts that are read no more share what became of their account, which is read on: gone with it, and back with it.
_NOTE_ACCOUNTS = text(
    """
    UPDATE sampled_posts SET fate = CASE WHEN account.state = 'open' THEN NULL ELSE account.state END,
        fate_at = CASE WHEN account.state = 'open' THEN NULL ELSE account.state_at END
    FROM sampled_accounts AS account
    WHERE account.bot_id = sampled_posts.bot_id AND sampled_posts.next_at IS NULL AND erased_at IS NULL AND (
        account.state IN ('suspended', 'deleted') AND fate IS NULL OR account.state = 'open' AND fate = 'suspended')
    """
)


async def enrol(session: AsyncSession, within: timedelta, every: timedelta) -> None:
    """Take up new accounts and what was published within the time, first due at the next whole `every`; let go of what
    we have deleted ourselves, and of what went with its account."""
    await session.execute(_ENROL_POSTS, {"within": within, "every": every})
    await session.execute(_ENROL_ACCOUNTS)
    await session.execute(_NOTE_DELETED)
    await session.execute(_NOTE_ACCOUNTS)


@dataclass(frozen=True)
class AppDue:
    """What is due of one app's bots, and how much of it X will charge for today; `read_usd` is what readings cost since
    the month began, `read_today_usd` the part of today. `post_calls` are lookups of each bot's posts by itself."""

    x_app_id: UUID | None
    app: str | None
    monthly_budget_usd: Decimal | None
    accounts: int
    accounts_unpaid: int
    posts: int
    posts_unpaid: int
    post_calls: int
    read_usd: Decimal
    read_today_usd: Decimal


_DUE = text(
    """
    WITH of_bot AS (
        SELECT post.bot_id, 0 AS accounts, 0 AS accounts_unpaid, count(*) AS posts,
            count(*) FILTER (WHERE post.paid_on IS DISTINCT FROM CAST(:today AS date)) AS posts_unpaid
        FROM sampled_posts AS post
        WHERE post.next_at <= :now AND (post.waits_until IS NULL OR post.waits_until <= :now)
        GROUP BY post.bot_id
        UNION ALL
        SELECT bot_id, 1, (paid_on IS DISTINCT FROM CAST(:today AS date))::integer, 0, 0
        FROM sampled_accounts WHERE next_at <= :now AND (waits_until IS NULL OR waits_until <= :now)
            AND bot_id IN (SELECT id FROM bots WHERE x_user_id IS NOT NULL AND state <> 'retired')
    ), spent AS (
        SELECT x_app_id, sum(usd) AS usd, coalesce(sum(usd) FILTER (WHERE spent_on = :today), 0) AS today_usd
        FROM spend_ledger
        WHERE spent_on >= date_trunc('month', CAST(:today AS date)) AND spent_on <= :today
            AND kind IN ('post_read', 'user_read')
        GROUP BY x_app_id
    )
    SELECT bot.x_app_id, app.name AS app, app.monthly_budget_usd, sum(accounts)::bigint AS accounts,
        sum(accounts_unpaid)::bigint AS accounts_unpaid, sum(posts)::bigint AS posts,
        sum(posts_unpaid)::bigint AS posts_unpaid, sum(ceil(posts / 100.0))::bigint AS post_calls,
        coalesce(max(spent.usd), 0) AS read_usd, coalesce(max(spent.today_usd), 0) AS read_today_usd
    FROM of_bot JOIN bots AS bot ON bot.id = of_bot.bot_id
    LEFT JOIN x_apps AS app ON app.id = bot.x_app_id
    LEFT JOIN spent ON spent.x_app_id IS NOT DISTINCT FROM bot.x_app_id
    GROUP BY bot.x_app_id, app.name, app.monthly_budget_usd
    ORDER BY app.name NULLS FIRST
    """
)


async def due(session: AsyncSession, now: datetime, today: date) -> Sequence[AppDue]:
    """What is due now, by app."""
    return [AppDue(**values(row)) for row in await session.execute(_DUE, {"now": now, "today": today})]


# Of the posts that X would charge for, the youngest are read: they say most.
_PUT_OFF = text(
    """
    WITH dear AS (
        SELECT post.post_id, row_number() OVER (ORDER BY post.published_at DESC, post.post_id) AS place
        FROM sampled_posts AS post JOIN bots AS bot ON bot.id = post.bot_id
        WHERE bot.x_app_id = :app_id AND post.next_at <= :now
            AND (post.waits_until IS NULL OR post.waits_until <= :now)
            AND post.paid_on IS DISTINCT FROM CAST(:today AS date)
    )
    UPDATE sampled_posts SET waits_until = :until FROM dear
    WHERE sampled_posts.post_id = dear.post_id AND dear.place > :kept
    """
)

_PUT_OFF_ACCOUNTS = text(
    """
    WITH dear AS (
        SELECT account.bot_id, row_number() OVER (ORDER BY account.paid_on NULLS FIRST, account.bot_id) AS place
        FROM sampled_accounts AS account JOIN bots AS bot ON bot.id = account.bot_id
        WHERE bot.x_app_id = :app_id AND account.next_at <= :now
            AND (account.waits_until IS NULL OR account.waits_until <= :now)
            AND account.paid_on IS DISTINCT FROM CAST(:today AS date)
    )
    UPDATE sampled_accounts SET waits_until = :until FROM dear
    WHERE sampled_accounts.bot_id = dear.bot_id AND dear.place > :kept
    """
)


async def put_off(
    session: AsyncSession, app_id: UUID, now: datetime, today: date, until: datetime, *, posts: int, accounts: int
) -> None:
    """Let all but so many of what X would charge an app for wait until then: the youngest posts are read, and the
    accounts that were read least of late."""
    given = {"app_id": app_id, "now": now, "today": today, "until": until}
    await session.execute(_PUT_OFF, {**given, "kept": posts})
    await session.execute(_PUT_OFF_ACCOUNTS, {**given, "kept": accounts})


_TAKE_POSTS = text(
    """
    WITH due AS (
        SELECT post_id FROM sampled_posts
        WHERE bot_id >= :from_bot AND next_at <= :now AND (waits_until IS NULL OR waits_until <= :now)
        ORDER BY bot_id, next_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE sampled_posts SET waits_until = :now + CAST(:lease AS interval) FROM due
        WHERE sampled_posts.post_id = due.post_id RETURNING sampled_posts.*
    )
    SELECT taken.post_id, taken.bot_id, bot.x_app_id, bot.handle, taken.x_post_id, taken.published_at, taken.paid_on,
        taken.missing_since, taken.fate, coalesce(account.state, 'open') AS account
    FROM taken JOIN bots AS bot ON bot.id = taken.bot_id
    LEFT JOIN sampled_accounts AS account ON account.bot_id = taken.bot_id
    ORDER BY taken.bot_id, taken.published_at DESC
    """
)


async def take_posts(
    session: AsyncSession, now: datetime, lease: timedelta, limit: int, from_bot: UUID
) -> Sequence[DuePost]:
    """Posts due now by the order of their bots, from this bot on; for the lease nobody else takes them."""
    given = {"now": now, "lease": lease, "limit": limit, "from_bot": from_bot}
    return [DuePost(**values(row)) for row in await session.execute(_TAKE_POSTS, given)]


_TAKE_ACCOUNTS = text(
    """
    WITH due AS (
        SELECT account.bot_id FROM sampled_accounts AS account JOIN bots AS bot ON bot.id = account.bot_id
        WHERE account.next_at <= :now AND (account.waits_until IS NULL OR account.waits_until <= :now)
            AND bot.x_user_id IS NOT NULL AND bot.state <> 'retired'
        ORDER BY bot.x_app_id, account.bot_id LIMIT :limit FOR UPDATE OF account SKIP LOCKED
    ), taken AS (
        UPDATE sampled_accounts SET waits_until = :now + CAST(:lease AS interval) FROM due
        WHERE sampled_accounts.bot_id = due.bot_id RETURNING sampled_accounts.*
    )
    SELECT taken.bot_id, bot.x_app_id, bot.handle, bot.x_user_id, taken.paid_on
    FROM taken JOIN bots AS bot ON bot.id = taken.bot_id ORDER BY bot.x_app_id, taken.bot_id
    """
)


async def take_accounts(session: AsyncSession, now: datetime, lease: timedelta, limit: int) -> Sequence[DueAccount]:
    """Accounts due now; for the lease nobody else takes them."""
    given = {"now": now, "lease": lease, "limit": limit}
    return [DueAccount(**values(row)) for row in await session.execute(_TAKE_ACCOUNTS, given)]


_ACTIVE_BOTS = text(
    """
    SELECT bot.id FROM bots AS bot LEFT JOIN sampled_accounts AS account ON account.bot_id = bot.id
    WHERE bot.state = 'active' AND bot.x_app_id IS NOT DISTINCT FROM CAST(:app_id AS uuid)
        AND account.state IS DISTINCT FROM 'suspended'
    ORDER BY bot.id LIMIT :limit
    """
)


async def active_bots(session: AsyncSession, app_id: UUID | None, limit: int) -> Sequence[UUID]:
    """A few bots of an app that X lets read."""
    return [row.id for row in await session.execute(_ACTIVE_BOTS, {"app_id": app_id, "limit": limit})]


@dataclass(frozen=True, slots=True)
class PostRead:
    """Where a post goes after a reading; `fate` None where it is there."""

    post_id: UUID
    next_at: datetime | None
    waits_until: datetime | None
    paid_on: date | None
    missing_since: datetime | None
    fate: Fate | None


def _columns(read: Sequence[Any]) -> dict[str, list[Any]]:
    """The fields of rows as arrays by name, as unnest takes them; asdict would copy each value."""
    return {field.name: [getattr(one, field.name) for one in read] for field in fields(read[0])}


# Nothing here goes back: what two runs have both read keeps the later of both instants.
_SETTLE_POSTS = text(
    """
    UPDATE sampled_posts SET
        next_at = CASE WHEN item.next_at IS NULL OR sampled_posts.next_at IS NULL THEN NULL
            ELSE greatest(sampled_posts.next_at, item.next_at) END,
        waits_until = item.waits_until,
        paid_on = greatest(sampled_posts.paid_on, item.paid_on), missing_since = item.missing_since,
        fate = item.fate, fate_at = CASE WHEN item.fate IS NULL THEN NULL
            WHEN item.fate = sampled_posts.fate THEN sampled_posts.fate_at ELSE app_now() END
    FROM unnest(CAST(:post_id AS uuid[]), CAST(:next_at AS timestamptz[]), CAST(:waits_until AS timestamptz[]),
        CAST(:paid_on AS date[]), CAST(:missing_since AS timestamptz[]), CAST(:fate AS text[]))
        AS item (post_id, next_at, waits_until, paid_on, missing_since, fate)
    WHERE sampled_posts.post_id = item.post_id AND sampled_posts.erased_at IS NULL
    """
)


async def settle_posts(session: AsyncSession, read: Sequence[PostRead]) -> None:
    """Note when posts are to be read next, and what became of those that X does not give."""
    if read:
        await session.execute(_SETTLE_POSTS, _columns(read))


@dataclass(frozen=True, slots=True)
class AccountRead:
    """Where an account goes after a reading."""

    bot_id: UUID
    next_at: datetime
    waits_until: datetime | None
    paid_on: date | None
    state: AccountState | None


_SETTLE_ACCOUNTS = text(
    """
    UPDATE sampled_accounts SET next_at = greatest(sampled_accounts.next_at, item.next_at),
        waits_until = item.waits_until, paid_on = greatest(sampled_accounts.paid_on, item.paid_on),
        state = coalesce(item.state, sampled_accounts.state),
        state_at = CASE WHEN item.state <> sampled_accounts.state THEN app_now() ELSE sampled_accounts.state_at END
    FROM unnest(CAST(:bot_id AS uuid[]), CAST(:next_at AS timestamptz[]), CAST(:waits_until AS timestamptz[]),
        CAST(:paid_on AS date[]), CAST(:state AS text[])) AS item (bot_id, next_at, waits_until, paid_on, state)
    WHERE sampled_accounts.bot_id = item.bot_id
    """
)


async def settle_accounts(session: AsyncSession, read: Sequence[AccountRead]) -> None:
    """Note when accounts are to be read next, and how they stand; a state of None is not known anew."""
    if read:
        await session.execute(_SETTLE_ACCOUNTS, _columns(read))


async def look_at_accounts(session: AsyncSession, bot_ids: Collection[UUID]) -> None:
    """Read these accounts in the next run, whenever they were read last: they explain why their posts are missing."""
    await session.execute(
        text("UPDATE sampled_accounts SET next_at = least(next_at, app_now()) WHERE bot_id = ANY(:ids)"),
        {"ids": list(bot_ids)},
    )


_TAKE_GONE = text(
    """
    SELECT post_id, fate FROM sampled_posts
    WHERE fate IS NOT NULL AND erased_at IS NULL AND fate_at <= (SELECT app_now()) - CAST(:after AS interval)
    ORDER BY fate_at LIMIT :limit FOR UPDATE SKIP LOCKED
    """
)


async def take_gone(session: AsyncSession, after: timedelta, limit: int) -> dict[UUID, Fate]:
    """Posts that have been gone from X for so long and are not erased here yet; they are held until the end of the
    transaction."""
    found = await session.execute(_TAKE_GONE, {"after": after, "limit": limit})
    return {row.post_id: row.fate for row in found}


async def erased(session: AsyncSession, post_ids: Collection[UUID]) -> None:
    """Note that nothing of these posts is left here; they are read no more."""
    await session.execute(
        text("UPDATE sampled_posts SET erased_at = app_now(), next_at = NULL WHERE post_id = ANY(:ids)"),
        {"ids": list(post_ids)},
    )
