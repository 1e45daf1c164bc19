"""Versions of credentials that are rotated: how far each is, never what it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Integer, Table, Text, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.versions import CAN_BE_GIVEN_UP, ON_ITS_WAY, State
from tasks.store.base import Id, Instant, Json, app_now, metadata, new_id, values

rotations = Table(
    "rotations",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column(
        "facts",
        Json,
        nullable=False,
        server_default="{}",
        comment="names and numbers that the kind needs to go on; never a secret",
    ),
    Column("problem", Text),
    Column("asked_by", Text, nullable=False),
    Column("begun_at", Instant, nullable=False, server_default=app_now),
    Column("stepped_at", Instant, nullable=False, server_default=app_now),
    Column("current_at", Instant),
    Column("remove_at", Instant),
    Column("ended_at", Instant),
    Column("given_up_by", Text),
    Column("lease_epoch", Integer, nullable=False, server_default="0"),
    Column("lease_until", Instant),
)


@dataclass(frozen=True)
class Version:
    """One version of a credential; `facts` are the kind's own notes about it."""

    id: UUID
    kind: str
    subject: str
    version: int
    state: State
    facts: Mapping[str, Any]
    problem: str | None
    asked_by: str
    begun_at: datetime
    stepped_at: datetime
    current_at: datetime | None
    remove_at: datetime | None
    given_up_by: str | None
    lease_epoch: int


_SHOWN = [rotations.c[name] for name in Version.__dataclass_fields__]


async def standing(session: AsyncSession, kind: str | None = None) -> Sequence[Version]:
    """Versions that have not ended, of one kind or of all, oldest first."""
    wanted = select(*_SHOWN).where(rotations.c.ended_at.is_(None))
    if kind is not None:
        wanted = wanted.where(rotations.c.kind == kind)
    found = await session.execute(wanted.order_by(rotations.c.kind, rotations.c.subject, rotations.c.version))
    return [Version(**values(row)) for row in found]


async def of_subject(session: AsyncSession, kind: str, subject: str) -> Sequence[Version]:
    """Every version there ever was of one credential, newest first."""
    wanted = select(*_SHOWN).where(rotations.c.kind == kind, rotations.c.subject == subject)
    return [Version(**values(row)) for row in await session.execute(wanted.order_by(rotations.c.version.desc()))]


async def adopt(session: AsyncSession, kind: str, subject: str, since: datetime, facts: Mapping[str, Any]) -> None:
    """Note what was in use before anybody rotated it as the first version; what is noted already stays as it is."""
    row = {
        "kind": kind,
        "subject": subject,
        "version": 1,
        "state": "current",
        "facts": dict(facts),
        "asked_by": "found",
        "begun_at": since,
        "current_at": since,
    }
    await session.execute(insert(rotations).values(**row).on_conflict_do_nothing())


async def begin(session: AsyncSession, kind: str, subject: str, asked_by: str) -> UUID | None:
    """The next version, not yet made; None where one is on its way already."""
    next_version = (
        select(func.coalesce(func.max(rotations.c.version), 0) + 1)
        .where(rotations.c.kind == kind, rotations.c.subject == subject)
        .scalar_subquery()
    )
    row = {"kind": kind, "subject": subject, "version": next_version, "state": "begun", "asked_by": asked_by}
    statement = insert(rotations).values(**row).on_conflict_do_nothing().returning(rotations.c.id)
    return (await session.execute(statement)).scalar_one_or_none()


async def lease(session: AsyncSession, version_id: UUID, seconds: float) -> Version | None:
    """Take the right to work on a version for so many real seconds; None where another has it, or it has ended."""
    row = (
        await session.execute(
            update(rotations)
            .where(
                rotations.c.id == version_id,
                rotations.c.ended_at.is_(None),
                or_(rotations.c.lease_until.is_(None), rotations.c.lease_until <= app_now),
            )
            .values(lease_epoch=rotations.c.lease_epoch + 1, lease_until=app_now + func.app_span(seconds))
            .returning(*_SHOWN)
        )
    ).one_or_none()
    return Version(**values(row)) if row else None


async def extend(session: AsyncSession, held: Version, seconds: float) -> bool:
    """Keep the right for so much longer from now; False where another took it meanwhile."""
    found = await session.execute(
        update(rotations)
        .where(rotations.c.id == held.id, rotations.c.lease_epoch == held.lease_epoch)
        .values(lease_until=app_now + func.app_span(seconds))
        .returning(rotations.c.id)
    )
    return found.one_or_none() is not None


async def release(session: AsyncSession, held: Version) -> None:
    """Give the right back, unless another has it by now."""
    await session.execute(
        update(rotations)
        .where(rotations.c.id == held.id, rotations.c.lease_epoch == held.lease_epoch)
        .values(lease_until=None)
    )


async def step(session: AsyncSession, held: Version, state: State, facts: Mapping[str, Any]) -> Version | None:
    """A step was taken: note where it led, with what the kind found out; None where another has the version by now."""
    changed: dict[str, Any] = {"state": state, "facts": {**held.facts, **facts}, "problem": None, "stepped_at": app_now}
    if state == "current":
        changed["current_at"] = app_now
    if state in ("removed", "abandoned"):
        changed["ended_at"] = app_now
    row = (
        await session.execute(
            update(rotations)
            .where(
                rotations.c.id == held.id,
                rotations.c.lease_epoch == held.lease_epoch,
                rotations.c.state == held.state,
            )
            .values(**changed)
            .returning(*_SHOWN)
        )
    ).one_or_none()
    return Version(**values(row)) if row else None


async def jot(session: AsyncSession, held: Version, facts: Mapping[str, Any], problem: str | None) -> None:
    """Note what the kind found out, and what keeps the version where it is."""
    await session.execute(
        update(rotations)
        .where(rotations.c.id == held.id, rotations.c.lease_epoch == held.lease_epoch)
        .values(facts={**held.facts, **facts}, problem=problem)
    )


async def give_up(session: AsyncSession, kind: str, subject: str, given_up_by: str) -> Version | None:
    """Note that the version on its way is to end; None where there is none that still can."""
    row = (
        await session.execute(
            update(rotations)
            .where(rotations.c.kind == kind, rotations.c.subject == subject, rotations.c.state.in_(CAN_BE_GIVEN_UP))
            .values(given_up_by=func.coalesce(rotations.c.given_up_by, given_up_by))
            .returning(*_SHOWN)
        )
    ).one_or_none()
    return Version(**values(row)) if row else None


async def replaced(session: AsyncSession, kind: str, subject: str, grace: timedelta) -> None:
    """The current version of a credential gives its place up, and stays good for its grace."""
    await session.execute(
        update(rotations)
        .where(rotations.c.kind == kind, rotations.c.subject == subject, rotations.c.state == "current")
        .values(state="previous", remove_at=app_now + grace, stepped_at=app_now)
    )


async def gone(session: AsyncSession, version_id: UUID) -> None:
    """A version has ended by itself, and not by a step."""
    await session.execute(
        update(rotations)
        .where(rotations.c.id == version_id, rotations.c.ended_at.is_(None))
        .values(state="removed", ended_at=app_now, problem="it ended by itself")
    )


async def current(session: AsyncSession, kind: str, subject: str) -> Version | None:
    """The version in use, where any is noted."""
    wanted = select(*_SHOWN).where(
        rotations.c.kind == kind, rotations.c.subject == subject, rotations.c.state == "current"
    )
    row = (await session.execute(wanted)).one_or_none()
    return Version(**values(row)) if row else None


async def pending(session: AsyncSession, kind: str, subject: str) -> Version | None:
    """The version on its way, where one is."""
    wanted = select(*_SHOWN).where(
        rotations.c.kind == kind, rotations.c.subject == subject, rotations.c.state.in_(ON_ITS_WAY)
    )
    row = (await session.execute(wanted)).one_or_none()
    return Version(**values(row)) if row else None


async def roll_back(session: AsyncSession, current_id: UUID, previous_id: UUID, facts: Mapping[str, Any]) -> None:
    """The version before is in use again, and the one that took its place has ended."""
    await session.execute(
        update(rotations)
        .where(rotations.c.id == current_id)
        .values(state="removed", ended_at=app_now, stepped_at=app_now)
    )
    await session.execute(
        update(rotations)
        .where(rotations.c.id == previous_id)
        .values(state="current", remove_at=None, current_at=app_now, stepped_at=app_now, facts=dict(facts))
    )
