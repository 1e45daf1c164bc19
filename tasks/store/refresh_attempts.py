"""Attempts to refresh a token: written before it leaves, ended when X's answer or its absence is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    exists,
    or_,
    select,
    text,
    union,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, new_id, values
from tasks.store.bots import bots
from tasks.store.credentials import Lease
from tasks.store.token_escrow import token_escrow

refresh_attempts = Table(
    "refresh_attempts",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("bot_id", Id, ForeignKey("bots.id"), nullable=False),
    Column("token_hmac", LargeBinary, nullable=False),
    Column("from_version", Integer, nullable=False),
    Column("replay", Boolean, nullable=False),
    Column("lease_epoch", Integer, nullable=False),
    Column("host", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("pid_namespace", BigInteger, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("start_ticks", BigInteger, nullable=False),
    Column("marked_at", Instant, nullable=False, server_default=app_now),
    Column("send_by", Instant, nullable=False),
    Column("settles_at", Instant, nullable=False),
    Column("ended", Text),
    Column("ended_at", Instant),
    Column("problem", Text),
)

_open = or_(refresh_attempts.c.ended.is_(None), refresh_attempts.c.ended == "unknown")


@dataclass(frozen=True)
class Marked:
    """An attempt that is committed, and so may be sent."""

    id: UUID
    from_version: int
    marked_at: datetime


@dataclass(frozen=True)
class Pending:
    """An attempt that has left something to do; `sealed` is X's answer, where the escrow has it.

    `unknown`: its sender itself said that no answer came. `settled`: X has decided by now, whatever it decided.
    """

    id: UUID
    from_version: int
    marked_at: datetime
    replay: bool
    unknown: bool
    settled: bool
    sealed: str | None
    host: str
    boot_id: str
    pid_namespace: int
    pid: int
    start_ticks: int


# Every statement of the caller's transaction after the lease's row was locked judges by a snapshot of its own.
_ADD = text(
    """
    INSERT INTO refresh_attempts (bot_id, token_hmac, from_version, replay, lease_epoch, host, boot_id, pid_namespace,
        pid, start_ticks, send_by, settles_at)
    SELECT credential.bot_id, :token_hmac, :from_version, :replay, :epoch, :host, :boot_id, :pid_namespace,
        :pid, :start_ticks, app_now() + app_span(:send_within), app_now() + app_span(:settles_within)
    FROM credentials AS credential
    WHERE credential.id = :credential_id AND credential.lease_epoch = :epoch AND credential.lease_until > app_now()
        AND may_refresh()
    ON CONFLICT (token_hmac, replay) WHERE ended IS NULL OR ended NOT IN ('not_sent', 'declined') DO NOTHING
    RETURNING id, from_version, marked_at
    """
)


async def add(
    session: AsyncSession,
    lease: Lease,
    *,
    token_hmac: bytes,
    from_version: int,
    replay: bool,
    host: str,
    boot_id: str,
    pid_namespace: int,
    pid: int,
    start_ticks: int,
    send_within_seconds: float,
    settles_within_seconds: float,
) -> Marked | None:
    """Write one down; None where the lease, whose row the caller locked, is lost, or the token was sent before.

    Or no token may be sent now: a backup is being made, or another stack may use them.
    """
    row = (
        await session.execute(
            _ADD,
            {
                "credential_id": lease.credential_id,
                "epoch": lease.epoch,
                "token_hmac": token_hmac,
                "from_version": from_version,
                "replay": replay,
                "host": host,
                "boot_id": boot_id,
                "pid_namespace": pid_namespace,
                "pid": pid,
                "start_ticks": start_ticks,
                "send_within": send_within_seconds,
                "settles_within": settles_within_seconds,
            },
        )
    ).one_or_none()
    return Marked(**values(row)) if row else None


async def end(session: AsyncSession, attempt_id: UUID, ended: str, problem: str | None = None) -> None:
    """Write the outcome of one attempt that has none yet, or was unknown."""
    await session.execute(
        update(refresh_attempts)
        .where(refresh_attempts.c.id == attempt_id, _open)
        .values(ended=ended, ended_at=app_now, problem=problem)
    )


async def forget_unsent(session: AsyncSession, lease: Lease, bot_id: UUID) -> None:
    """What was marked under this lease never left: its commit stands, and the acknowledgement was lost."""
    await session.execute(
        update(refresh_attempts)
        .where(
            refresh_attempts.c.bot_id == bot_id,
            refresh_attempts.c.lease_epoch == lease.epoch,
            refresh_attempts.c.ended.is_(None),
        )
        .values(ended="not_sent", ended_at=app_now, problem="mark-not-acknowledged")
    )


async def close(session: AsyncSession, attempt_id: UUID, ended: str, problem: str | None = None) -> None:
    """Nothing is left to do for the token of this attempt: end it, and what else was tried with the same token.

    A late answer of X wins over whatever was written meanwhile.
    """
    token = select(refresh_attempts.c.token_hmac).where(refresh_attempts.c.id == attempt_id).scalar_subquery()
    await session.execute(
        update(refresh_attempts)
        .where(refresh_attempts.c.token_hmac == token, or_(_open, refresh_attempts.c.id == attempt_id))
        .values(ended=ended, ended_at=app_now, problem=problem)
    )


async def pending_of(session: AsyncSession, bot_id: UUID) -> Pending | None:
    """What an earlier attempt of a bot left to do: an answer in escrow first, else the newest of unknown fate."""
    attempt = refresh_attempts.c
    found = await session.execute(
        select(
            attempt.id,
            attempt.from_version,
            attempt.marked_at,
            attempt.replay,
            attempt.ended.is_not_distinct_from("unknown").label("unknown"),
            (attempt.settles_at <= app_now).label("settled"),
            token_escrow.c.sealed,
            attempt.host,
            attempt.boot_id,
            attempt.pid_namespace,
            attempt.pid,
            attempt.start_ticks,
        )
        .join_from(refresh_attempts, token_escrow, isouter=True)
        .where(attempt.bot_id == bot_id, or_(_open, token_escrow.c.attempt_id.is_not(None)))
        .order_by(token_escrow.c.attempt_id.is_(None), attempt.id.desc())
        .limit(1)
    )
    row = found.one_or_none()
    return Pending(**values(row)) if row else None


async def is_spent(session: AsyncSession, token_hmac: bytes) -> bool:
    """True where X has had this token and the matter is closed; sent again, it would cost the whole family."""
    spent = (refresh_attempts.c.token_hmac == token_hmac) & refresh_attempts.c.ended.in_(
        ("granted", "refused", "conflict", "lost")
    )
    found: bool = (await session.execute(select(exists().where(spent)))).scalar_one()
    return found


async def bots_with_pending(session: AsyncSession) -> Mapping[UUID, str]:
    """Handles of the bots for which an earlier attempt left something to do, by id."""
    escrowed = select(refresh_attempts.c.bot_id).join_from(refresh_attempts, token_escrow)
    pending = union(select(refresh_attempts.c.bot_id).where(_open), escrowed).subquery()
    found = await session.execute(select(bots.c.id, bots.c.handle).where(bots.c.id.in_(select(pending.c.bot_id))))
    return {row.id: row.handle for row in found}
