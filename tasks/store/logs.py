"""The log as people read it: who did what, from the audit and from the activity log, in one order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, false, func, literal, null, or_, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.activity_log import activity_log
from tasks.store.audit import audit_log
from tasks.store.base import Id, values
from tasks.store.bots import bots

Origin = Literal["activity", "audit"]


@dataclass(frozen=True)
class Place:
    """Where a line stands: lines of one instant follow each other by origin and id."""

    at: datetime
    origin: Origin
    id: int


@dataclass(frozen=True)
class Line:
    """One thing that was done, refused or reported; `origin` is the table that holds it under `id`."""

    at: datetime
    origin: Origin
    id: int
    category: str
    actor: str
    action: str
    subject: str
    bot: str | None
    bot_id: UUID | None
    details: dict[str, Any]

    @property
    def place(self) -> Place:
        """For the next page."""
        return Place(self.at, self.origin, self.id)


@dataclass(frozen=True)
class Wanted:
    """Which lines to look for; None is any. `actor`, `action` and `subject` name a whole one, or its beginning with a
    `*`. With `labels` only lines of bots that bear one of them, and those of `own`, the actor himself."""

    category: str | None = None
    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    label: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    labels: frozenset[str] | None = None
    own: str | None = None


async def page(session: AsyncSession, wanted: Wanted, before: Place | None, limit: int) -> Sequence[Line]:
    """Lines from the newest downwards, below `before`."""
    audited = select(
        audit_log.c.at,
        literal("audit").label("origin"),
        audit_log.c.id,
        audit_log.c.category,
        audit_log.c.actor,
        audit_log.c.action,
        audit_log.c.subject,
        bots.c.handle.label("bot"),
        audit_log.c.bot_id,
        audit_log.c.details,
    ).select_from(audit_log.outerjoin(bots, bots.c.id == audit_log.c.bot_id))
    remarked = select(
        activity_log.c.at,
        literal("activity").label("origin"),
        activity_log.c.id,
        activity_log.c.category,
        activity_log.c.actor,
        activity_log.c.action,
        activity_log.c.subject,
        cast(null(), Text).label("bot"),
        cast(null(), Id).label("bot_id"),
        activity_log.c.details,
    )
    of_labels = or_(false(), *(bots.c.labels.any(label) for label in sorted(wanted.labels or ())))
    halves = []
    for half, log, origin, labelled in (
        (audited, audit_log.c, "audit", of_labels),
        (remarked, activity_log.c, "activity", false()),
    ):
        if wanted.label is not None:
            half = half.where(bots.c.labels.any(wanted.label) if origin == "audit" else false())
        if wanted.labels is not None:
            half = half.where(or_(labelled, log.actor == wanted.own))
        if before is not None:
            # The first condition is the index's; the second says where in one instant the page before it ended.
            here = tuple_(log.at, literal(origin), log.id) < (before.at, before.origin, before.id)
            half = half.where(log.at <= before.at, here)
        half = half.where(*_conditions(log, wanted)).order_by(log.at.desc(), log.id.desc()).limit(limit)
        halves.append(half.subquery())
    both = union_all(*(select(half) for half in halves)).subquery()
    found = await session.execute(
        select(both).order_by(both.c.at.desc(), both.c.origin.desc(), both.c.id.desc()).limit(limit)
    )
    return [Line(**values(row)) for row in found]


def _conditions(log: Any, wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for column, pattern in ((log.actor, wanted.actor), (log.action, wanted.action), (log.subject, wanted.subject)):
        if pattern is not None and pattern.endswith("*"):
            found.append(column.startswith(pattern[:-1], autoescape=True))
        elif pattern is not None:
            found.append(column == pattern)
    if wanted.category is not None:
        found.append(log.category == wanted.category)
    if wanted.text is not None:
        whole = func.concat_ws(" ", log.actor, log.action, log.subject, cast(log.details, Text))
        found.append(func.strpos(func.lower(whole), wanted.text.lower()) > 0)
    if wanted.since is not None:
        found.append(log.at >= wanted.since)
    if wanted.until is not None:
        found.append(log.at < wanted.until)
    return found
