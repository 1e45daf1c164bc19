"""Channels by which operators are told, and what was told where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.notifications import Kind
from tasks.store.advisory_locks import AdvisoryLock
from tasks.store.base import Id, Instant, Json, app_now, metadata, new_id, values

channels = Table(
    "notification_channels",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column(
        "about",
        ARRAY(Text),
        nullable=False,
        server_default="{}",
        comment="what it wants to hear of; empty is everything",
    ),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("removed_at", Instant),
)

deliveries = Table(
    "notification_deliveries",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("channel_id", Id, ForeignKey("notification_channels.id"), nullable=False),
    Column("about", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("alarm", Json, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("problem", Text),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column(
        "next_at",
        Instant,
        nullable=False,
        server_default=app_now,
        comment="when it is tried next; whoever tries moves it, and so holds it",
    ),
    Column("ended_at", Instant),
)


@dataclass(frozen=True)
class ChannelRow:
    """A channel; address and secret are in the vault."""

    id: UUID
    name: str
    kind: Kind
    host: str
    about: Sequence[str]
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class DeliveryRow:
    """What was told, or is to be told, on a channel; `problem` says why the last try did not do."""

    id: UUID
    channel: str
    kind: Kind
    about: str
    alarm: Mapping[str, Any]
    state: str
    tries: int
    problem: str | None
    created_at: datetime
    ended_at: datetime | None


_CHANNEL = select(
    channels.c.id,
    channels.c.name,
    channels.c.kind,
    channels.c.host,
    channels.c.about,
    channels.c.created_by,
    channels.c.created_at,
).where(channels.c.removed_at.is_(None))

_DELIVERY = select(
    deliveries.c.id,
    channels.c.name.label("channel"),
    channels.c.kind,
    deliveries.c.about,
    deliveries.c.alarm,
    deliveries.c.state,
    deliveries.c.tries,
    deliveries.c.problem,
    deliveries.c.created_at,
    deliveries.c.ended_at,
).join(channels, channels.c.id == deliveries.c.channel_id)


async def list_channels(session: AsyncSession) -> Sequence[ChannelRow]:
    """Channels in use, by name."""
    return [ChannelRow(**values(row)) for row in await session.execute(_CHANNEL.order_by(channels.c.name))]


async def find_channel(session: AsyncSession, name: str) -> ChannelRow | None:
    """A channel in use."""
    row = (await session.execute(_CHANNEL.where(channels.c.name == name))).one_or_none()
    return ChannelRow(**values(row)) if row else None


async def add_channel(
    session: AsyncSession, name: str, kind: Kind, host: str, about: Sequence[str], created_by: str
) -> None:
    """Put one in; raises IntegrityError where one of this name is in use."""
    await session.execute(
        insert(channels).values(name=name, kind=kind, host=host, about=list(about), created_by=created_by)
    )


async def remove_channel(session: AsyncSession, name: str) -> bool:
    """Take one out of use; what was told on it stays written. False where none is in use."""
    found = await session.execute(
        update(channels)
        .where(channels.c.name == name, channels.c.removed_at.is_(None))
        .values(removed_at=app_now)
        .returning(channels.c.id)
    )
    return found.first() is not None


async def one_teller(session: AsyncSession) -> None:
    """Wait until no other transaction decides what is told: two would both find that it was not told yet."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": AdvisoryLock.NOTIFY})


async def told_lately(session: AsyncSession, within: timedelta) -> set[tuple[UUID, str]]:
    """Channel and key of everything that was told, or tried, within a time."""
    found = await session.execute(
        select(deliveries.c.channel_id, deliveries.c.key).where(deliveries.c.created_at > app_now - within).distinct()
    )
    return {(row.channel_id, row.key) for row in found}


async def add_deliveries(
    session: AsyncSession, wanted: Sequence[tuple[UUID, str, str, Mapping[str, Any]]]
) -> Sequence[UUID]:
    """Write down what is to be told: channel, kind of alarm, key and the alarm itself."""
    if not wanted:
        return []
    rows = [{"channel_id": one, "about": about, "key": key, "alarm": dict(alarm)} for one, about, key, alarm in wanted]
    found = await session.execute(insert(deliveries).returning(deliveries.c.id), rows)
    return [row.id for row in found]


async def take(session: AsyncSession, lease: timedelta, limit: int) -> Sequence[DeliveryRow]:
    """Hold deliveries that are due for a try; one whose holder died is due again once its lease is over."""
    due = (
        select(deliveries.c.id)
        .where(deliveries.c.state == "pending", deliveries.c.next_at <= app_now)
        .order_by(deliveries.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    held = await session.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(due.scalar_subquery()))
        .values(next_at=app_now + lease, tries=deliveries.c.tries + 1)
        .returning(deliveries.c.id)
    )
    ids = [row.id for row in held]
    found = await session.execute(_DELIVERY.where(deliveries.c.id.in_(ids)).order_by(deliveries.c.created_at))
    return [DeliveryRow(**values(row)) for row in found]


async def end(session: AsyncSession, delivery_id: UUID, state: str, problem: str | None) -> None:
    """It was told, or is given up."""
    await session.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.state == "pending")
        .values(state=state, problem=problem, ended_at=app_now)
    )


async def try_again(session: AsyncSession, delivery_id: UUID, wait: timedelta, problem: str) -> None:
    """The try did not do; another one follows."""
    await session.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.state == "pending")
        .values(next_at=app_now + wait, problem=problem)
    )


async def pending(session: AsyncSession, ids: Sequence[UUID]) -> int:
    """How many of these are still to be told."""
    found = await session.execute(select(func.count()).where(deliveries.c.id.in_(ids), deliveries.c.state == "pending"))
    return int(found.scalar_one())


async def are_left_over(session: AsyncSession) -> bool:
    """True where something is due for a try and nobody holds it: whoever was to tell it is gone."""
    found = await session.execute(
        select(deliveries.c.id)
        .where(deliveries.c.state == "pending", deliveries.c.next_at < app_now - timedelta(minutes=2))
        .limit(1)
    )
    return found.first() is not None


async def page(
    session: AsyncSession, after: UUID | None, limit: int, ids: Sequence[UUID] | None = None
) -> Sequence[DeliveryRow]:
    """Deliveries, the latest first; those after one of them, or the named ones."""
    wanted = _DELIVERY.order_by(deliveries.c.id.desc()).limit(limit)
    if after is not None:
        wanted = wanted.where(deliveries.c.id < after)
    if ids is not None:
        wanted = wanted.where(deliveries.c.id.in_(ids))
    return [DeliveryRow(**values(row)) for row in await session.execute(wanted)]


async def forget(session: AsyncSession, kept: timedelta) -> None:
    """Drop what was told long ago."""
    await session.execute(
        delete(deliveries).where(
            deliveries.c.state != "pending",
            deliveries.c.ended_at < app_now - kept,
        )
    )


@dataclass(frozen=True)
class EndedDelivery:
    """A delivery that ended."""

    id: UUID
    kind: str
    state: str
    at: datetime


async def ended(session: AsyncSession, since: datetime) -> Sequence[EndedDelivery]:
    """Deliveries that ended after an instant."""
    found = await session.execute(
        select(deliveries.c.id, channels.c.kind, deliveries.c.state, deliveries.c.ended_at.label("at"))
        .join(channels, channels.c.id == deliveries.c.channel_id)
        .where(deliveries.c.state != "pending", deliveries.c.ended_at > since)
    )
    return [EndedDelivery(**values(row)) for row in found]
