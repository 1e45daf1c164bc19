"""Senders: processes that publish, and whether they still live."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import BigInteger, Column, Integer, Table, Text, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, new_id, values

senders = Table(
    "senders",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("host", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("pid_namespace", BigInteger, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("start_ticks", BigInteger, nullable=False),
    Column("flow_run_id", Id),
    Column("started_at", Instant, nullable=False, server_default=app_now),
    Column("beat_at", Instant, nullable=False, server_default=app_now),
    Column("closed_at", Instant),
    Column("died_at", Instant),
)


@dataclass(frozen=True)
class SenderRow:
    """Where a sender lives: enough to prove its death inside the same namespace."""

    id: UUID
    host: str
    boot_id: str
    pid_namespace: int
    pid: int
    start_ticks: int


_alive = senders.c.closed_at.is_(None) & senders.c.died_at.is_(None)


async def add(
    session: AsyncSession,
    *,
    host: str,
    boot_id: str,
    pid_namespace: int,
    pid: int,
    start_ticks: int,
    flow_run_id: UUID | None,
) -> UUID:
    """Register one."""
    found: UUID = (
        await session.execute(
            insert(senders)
            .values(
                host=host,
                boot_id=boot_id,
                pid_namespace=pid_namespace,
                pid=pid,
                start_ticks=start_ticks,
                flow_run_id=flow_run_id,
            )
            .returning(senders.c.id)
        )
    ).scalar_one()
    return found


async def beat(session: AsyncSession, sender_id: UUID) -> None:
    """Say that one is alive."""
    await session.execute(update(senders).where(senders.c.id == sender_id).values(beat_at=app_now))


async def close(session: AsyncSession, sender_id: UUID) -> None:
    """Note a clean end."""
    await session.execute(update(senders).where(senders.c.id == sender_id).values(closed_at=app_now))


async def bury(session: AsyncSession, dead: Sequence[UUID]) -> None:
    """Note a proven death."""
    if dead:
        held = (
            select(senders.c.id)
            .where(senders.c.id.in_(dead), senders.c.died_at.is_(None))
            .order_by(senders.c.id)
            .with_for_update()
            .cte("held")
        )
        await session.execute(update(senders).where(senders.c.id == held.c.id).values(died_at=app_now))


_NOT_FOUND_DEAD = text(
    """
    SELECT id, host, boot_id, pid_namespace, pid, start_ticks FROM senders
    WHERE host = :host AND died_at IS NULL AND (closed_at IS NULL OR EXISTS (
        SELECT 1 FROM publish_attempts AS attempt WHERE attempt.sender_id = senders.id
            AND (attempt.ended IS NULL OR attempt.ended = 'unknown')))
    """
)


async def not_found_dead(session: AsyncSession, host: str) -> Sequence[SenderRow]:
    """Senders of a host that did not end, or that ended and left something in doubt; none was found dead yet."""
    return [SenderRow(**values(row)) for row in await session.execute(_NOT_FOUND_DEAD, {"host": host})]


async def has_successor(session: AsyncSession, sender_id: UUID, within: timedelta) -> bool:
    """True where a sender that started later beats; otherwise the caller is the last one, and goes on."""
    mine = select(senders.c.started_at).where(senders.c.id == sender_id).scalar_subquery()
    found = await session.execute(
        select(func.count())
        .select_from(senders)
        .where(_alive, senders.c.id != sender_id, senders.c.started_at > mine, senders.c.beat_at > app_now - within)
    )
    return found.scalar_one() > 0
