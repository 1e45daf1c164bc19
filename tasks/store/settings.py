"""Settings that people changed: append-only, one revision a change; in force is the newest value of each key."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, Select, Table, Text, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.advisory_locks import AdvisoryLock
from tasks.store.base import Instant, Json, app_now, metadata

settings_revisions = Table(
    "settings_revisions",
    metadata,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text),
    Column("at", Instant, nullable=False, server_default=app_now),
)
settings_changes = Table(
    "settings_changes",
    metadata,
    Column("revision", Integer, ForeignKey("settings_revisions.revision"), nullable=False, primary_key=True),
    Column("key", Text, nullable=False, primary_key=True),
    Column("old", Json),
    Column("new", Json),
)


@dataclass(frozen=True)
class Changed:
    """One key in one revision; None is: no override."""

    revision: int
    key: str
    old: Any
    new: Any
    actor: str
    reason: str | None
    at: datetime


async def lock(session: AsyncSession) -> None:
    """Let nobody else write until this transaction ends; what is read afterwards stands."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": AdvisoryLock.SETTINGS})


async def revision(session: AsyncSession) -> int:
    """The newest revision; 0 before the first."""
    found = await session.execute(select(func.coalesce(func.max(settings_revisions.c.revision), 0)))
    return int(found.scalar_one())


async def in_force(session: AsyncSession, at_revision: int | None = None) -> Mapping[str, tuple[int, Any]]:
    """Revision and value of each key that is overridden, now or as of a revision."""
    return by_key(await session.execute(newest(at_revision)))


def newest(at_revision: int | None = None) -> Select[Any]:
    """The statement behind `in_force`, for whoever has no session."""
    wanted = (
        select(settings_changes.c.key, settings_changes.c.revision, settings_changes.c.new)
        .distinct(settings_changes.c.key)
        .order_by(settings_changes.c.key, settings_changes.c.revision.desc())
    )
    return wanted if at_revision is None else wanted.where(settings_changes.c.revision <= at_revision)


def by_key(rows: Iterable[Any]) -> Mapping[str, tuple[int, Any]]:
    """Rows of `newest` as `in_force` answers them; None in the newest revision is: no override any more."""
    return {row.key: (row.revision, row.new) for row in rows if row.new is not None}


async def add_revision(session: AsyncSession, number: int, actor: str, reason: str | None) -> None:
    """Begin a revision."""
    await session.execute(insert(settings_revisions).values(revision=number, actor=actor, reason=reason))


async def add_changes(session: AsyncSession, number: int, changes: Mapping[str, tuple[Any, Any]]) -> None:
    """What a revision changes: old and new value by key."""
    rows = [{"revision": number, "key": key, "old": old, "new": new} for key, (old, new) in changes.items()]
    await session.execute(insert(settings_changes), rows)


async def history(session: AsyncSession, service: str | None, before: int | None, limit: int) -> Sequence[Changed]:
    """Changes from the newest downwards, of one service or of all; `before` a revision."""
    wanted = (
        select(settings_changes, settings_revisions.c.actor, settings_revisions.c.reason, settings_revisions.c.at)
        .join(settings_revisions, settings_revisions.c.revision == settings_changes.c.revision)
        .order_by(settings_changes.c.revision.desc(), settings_changes.c.key)
        .limit(limit)
    )
    if service is not None:
        wanted = wanted.where(func.split_part(settings_changes.c.key, ".", 1) == service)
    if before is not None:
        wanted = wanted.where(settings_changes.c.revision < before)
    return [
        Changed(row.revision, row.key, row.old, row.new, row.actor, row.reason, row.at)
        for row in await session.execute(wanted)
    ]
