"""Epochs: while one is open, another stack may be at work with the same accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Boolean, Column, ForeignKey, Integer, Table, Text, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, values

restore_epochs = Table(
    "restore_epochs",
    metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("backup_at", Instant, nullable=False, comment="what the other stack did from then on is not known here"),
    Column("origin_host", Text, nullable=False),
    Column("origin_home", Text, nullable=False),
    Column(
        "tokens_unused",
        Boolean,
        nullable=False,
        comment="the other stack was handed over, so it refreshed no token after the backup",
    ),
    Column("stop_id", Id, ForeignKey("stops.id"), nullable=False),
    Column(
        "sender_id",
        Id,
        ForeignKey("senders.id"),
        nullable=False,
        comment="stands for the other stack; it dies when a person takes over",
    ),
    Column("begun_at", Instant, nullable=False, server_default=app_now),
    Column("begun_by", Text, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", Text),
)


@dataclass(frozen=True)
class EpochRow:
    """One epoch; `sender_id` stands for the other stack, whose home was `origin_home` on `origin_host`."""

    epoch: int
    kind: str
    backup_at: datetime
    origin_host: str
    origin_home: str
    tokens_unused: bool
    stop_id: UUID
    sender_id: UUID
    begun_at: datetime


_SHOWN = [restore_epochs.c[name] for name in EpochRow.__dataclass_fields__]


async def add(
    session: AsyncSession,
    *,
    kind: str,
    backup_at: datetime,
    origin_host: str,
    origin_home: str,
    tokens_unused: bool,
    stop_id: UUID,
    sender_id: UUID,
    begun_by: str,
) -> int:
    """Begin the next one; answers its number."""
    following = select(func.coalesce(func.max(restore_epochs.c.epoch), 0) + 1).scalar_subquery()
    found: int = (
        await session.execute(
            insert(restore_epochs)
            .values(
                epoch=following,
                kind=kind,
                backup_at=backup_at,
                origin_host=origin_host,
                origin_home=origin_home,
                tokens_unused=tokens_unused,
                stop_id=stop_id,
                sender_id=sender_id,
                begun_by=begun_by,
            )
            .returning(restore_epochs.c.epoch)
        )
    ).scalar_one()
    return found


async def open_one(session: AsyncSession) -> EpochRow | None:
    """The epoch that no person has ended yet, or None."""
    row = (await session.execute(select(*_SHOWN).where(restore_epochs.c.ended_at.is_(None)))).one_or_none()
    return EpochRow(**values(row)) if row else None


async def end(session: AsyncSession, by: str) -> None:
    """End the open one, if there is one."""
    await session.execute(
        update(restore_epochs).where(restore_epochs.c.ended_at.is_(None)).values(ended_at=app_now, ended_by=by)
    )


async def stops_of_all(session: AsyncSession) -> Sequence[UUID]:
    """The stops that epochs began with."""
    return list((await session.execute(select(restore_epochs.c.stop_id))).scalars())


async def hold_refreshes(session: AsyncSession) -> bool:
    """From now on no refresh is marked until this session ends; False where somebody else holds them."""
    found: bool = (await session.execute(text("SELECT pg_try_advisory_lock(refresh_key())"))).scalar_one()
    return found


async def refreshes_in_flight(session: AsyncSession) -> int:
    """Refreshes that were marked and may still bring an answer, or have brought one that is not stored yet."""
    found: int = (
        await session.execute(
            text(
                "SELECT count(*) FROM refresh_attempts WHERE (ended IS NULL AND settles_at > app_now())"
                " OR id IN (SELECT attempt_id FROM token_escrow)"
            )
        )
    ).scalar_one()
    return found


async def transaction_id(session: AsyncSession) -> int:
    """Number of the newest transaction; it never wraps around."""
    found: str = (await session.execute(text("SELECT pg_current_xact_id()::text"))).scalar_one()
    return int(found)


async def schema_revision(session: AsyncSession) -> str:
    """The migration that the schema stands at."""
    return str((await session.execute(text("SELECT version_num FROM alembic_version"))).scalar_one())


async def void_access(session: AsyncSession) -> None:
    """End every session, API key and link to choose a password: they open the other stack as well."""
    for statement in (
        "UPDATE sessions SET ended_at = app_now() WHERE ended_at IS NULL",
        "UPDATE api_keys SET revoked_at = app_now() WHERE revoked_at IS NULL",
        "UPDATE sign_in_links SET used_at = app_now() WHERE used_at IS NULL",
    ):
        await session.execute(text(statement))


@dataclass(frozen=True)
class DuePost:
    """A post that the other stack may have sent."""

    id: UUID
    text: str


@dataclass(frozen=True)
class Priced:
    """What a post in doubt will have cost if it is found."""

    id: UUID
    kind: str
    usd: Decimal


# Posts first of all by their ids, as everybody locks them. One that waits for an approval is none of these: it goes out
# by nobody but the person who approves it. What was given up or held before stays so.
_DUE = text(
    """
    SELECT id, text FROM posts WHERE status IN ('scheduled', 'claimed')
        AND least(due_at, planned_at, next_at) <= (SELECT app_now()) + :ahead
    ORDER BY id FOR UPDATE
    """
)
_ADD_DOUBTS = text(
    """
    WITH item AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:prices AS numeric[]))
            AS item (id, kind, usd)
    ), moved AS (
        UPDATE posts SET status = 'unknown', lease_until = NULL, reason = :reason, updated_at = app_now()
        FROM item WHERE posts.id = item.id
        RETURNING posts.id, posts.bot_id, posts.revision, posts.lease_epoch, item.kind, item.usd
    )
    INSERT INTO publish_attempts
        (post_id, bot_id, x_app_id, revision, sender_id, lease_epoch, fingerprint, marked_at, start_by, give_up_at,
         ended, ended_at, settled_by, problem, price_kind, price_usd)
    SELECT moved.id, moved.bot_id, bot.x_app_id, moved.revision, epoch.sender_id, moved.lease_epoch,
        sha256(convert_to('epoch ' || epoch.epoch || ' ' || moved.id, 'UTF8')), epoch.backup_at, epoch.backup_at,
        epoch.backup_at, 'unknown', app_now(), 'sweeper', 'before-restore', moved.kind, moved.usd
    FROM moved JOIN bots AS bot ON bot.id = moved.bot_id
    CROSS JOIN (SELECT * FROM restore_epochs WHERE ended_at IS NULL) AS epoch
    """
)
_EARLIER = text(
    """
    SELECT attempt.id FROM publish_attempts AS attempt JOIN posts AS post ON post.id = attempt.post_id
    WHERE (attempt.ended IS NULL OR attempt.ended = 'unknown') AND post.status IN ('sending', 'unknown')
        AND attempt.sender_id <> (SELECT sender_id FROM restore_epochs WHERE ended_at IS NULL)
    ORDER BY attempt.id FOR UPDATE OF attempt
    """
)
# The end of a token proves nothing here: the other stack may have sent the post again with another one.
_DOUBT_EARLIER = text(
    """
    WITH changed AS (
        UPDATE publish_attempts SET ended = 'unknown', ended_at = coalesce(ended_at, app_now()), settled_by = 'sweeper',
            sender_id = (SELECT sender_id FROM restore_epochs WHERE ended_at IS NULL), token_expires_at = NULL,
            look_at = NULL
        WHERE id = ANY (:ids) RETURNING post_id
    )
    UPDATE posts SET status = 'unknown', reason = :reason, updated_at = app_now()
    FROM changed WHERE posts.id = changed.post_id
    """
)


async def due(session: AsyncSession, ahead: timedelta) -> Sequence[DuePost]:
    """Posts that are due by now, or in so short a time, held until the transaction ends."""
    return [DuePost(**values(row)) for row in await session.execute(_DUE, {"ahead": ahead})]


async def doubt(session: AsyncSession, posts: Sequence[Priced], reason: str) -> None:
    """Whether the other stack sent these is unknown: their timelines since the backup tell. An epoch is open."""
    given = {
        "ids": [post.id for post in posts],
        "kinds": [post.kind for post in posts],
        "prices": [post.usd for post in posts],
        "reason": reason,
    }
    await session.execute(_ADD_DOUBTS, given)


async def doubt_earlier(session: AsyncSession, reason: str) -> int:
    """What was on its way or in doubt at the backup is looked for again, over all that followed; answers how many."""
    ids = [row.id for row in await session.execute(_EARLIER)]
    if ids:
        await session.execute(_DOUBT_EARLIER, {"ids": ids, "reason": reason})
    return len(ids)


async def newest_of_the_other(session: AsyncSession, epoch: EpochRow) -> datetime | None:
    """When the other stack last made a post, as far as the timelines have told."""
    found: datetime | None = (
        await session.execute(
            text(
                "SELECT max(post.published_at) FROM posts AS post JOIN publish_attempts AS attempt"
                " ON attempt.post_id = post.id WHERE attempt.sender_id = :sender AND attempt.ended = 'accepted'"
            ),
            {"sender": epoch.sender_id},
        )
    ).scalar_one()
    return found


async def in_doubt(session: AsyncSession) -> int:
    """Posts of unknown outcome."""
    found: int = (await session.execute(text("SELECT count(*) FROM posts WHERE status = 'unknown'"))).scalar_one()
    return found


@dataclass(frozen=True)
class TokenBot:
    """A bot that has a refresh token, or had one."""

    id: UUID
    handle: str
    x_app_id: UUID | None
    state: str


async def bots_with_tokens(session: AsyncSession) -> Sequence[TokenBot]:
    """Bots whose tokens the inventory knows, by handle."""
    rows = await session.execute(
        text(
            "SELECT id, handle, x_app_id, state FROM bots WHERE id IN (SELECT bot_id FROM credentials"
            " WHERE kind IN ('x_user_access', 'x_user_refresh')) ORDER BY handle"
        )
    )
    return [TokenBot(**values(row)) for row in rows]


_DOUBT_TOKEN = text(
    """
    INSERT INTO refresh_attempts (bot_id, token_hmac, from_version, replay, lease_epoch, host, boot_id, pid_namespace,
        pid, start_ticks, marked_at, send_by, settles_at, ended, ended_at, problem)
    SELECT :bot_id, :token_hmac, :from_version, :replay, 0, host, boot_id, pid_namespace, pid, start_ticks,
        app_now(), app_now(), app_now(), 'unknown', app_now(), 'before-restore'
    FROM senders WHERE id = :sender
    ON CONFLICT (token_hmac, replay) WHERE ended IS NULL OR ended NOT IN ('not_sent', 'declined') DO NOTHING
    """
)


async def doubt_token(
    session: AsyncSession, epoch: EpochRow, bot_id: UUID, token_hmac: bytes, from_version: int, *, may_replay: bool
) -> None:
    """Whether the other stack used this refresh token up is unknown: it is sent once more at the most, or never."""
    given = {"bot_id": bot_id, "token_hmac": token_hmac, "from_version": from_version, "sender": epoch.sender_id}
    await session.execute(_DOUBT_TOKEN, {**given, "replay": not may_replay})
