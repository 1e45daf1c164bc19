"""Reports as they were made: figures, the page, and its pictures."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Date, ForeignKey, Table, Text, delete, func, insert, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, Json, app_now, metadata, new_id, values

reports = Table(
    "reports",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("made_at", Instant, nullable=False, server_default=app_now),
    # It is about the bots that bear one of them; NULL is everything.
    Column("labels", ARRAY(Text)),
    Column("since", Date, nullable=False),
    Column("until", Date, nullable=False),
    Column("figures", Json, nullable=False),
    Column("page", Text, nullable=False),
)

report_pictures = Table(
    "report_pictures",
    metadata,
    Column("report_id", Id, ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("svg", Text, nullable=False),
)


@dataclass(frozen=True)
class Report:
    """A report without what it shows; `labels` None: it is about all bots. Its days are UTC, the last one included."""

    id: UUID
    made_at: datetime
    labels: Sequence[str] | None
    since: date
    until: date


_COLUMNS = (reports.c.id, reports.c.made_at, reports.c.labels, reports.c.since, reports.c.until)


def in_scope(within: Collection[str] | None) -> ColumnElement[bool]:
    """Reports about bots that bear one of these labels, and no others."""
    return true() if within is None else reports.c.labels.contained_by(sorted(within))


async def new_report_id(session: AsyncSession) -> UUID:
    """An id for a report that is to be made: its page names its pictures by it."""
    found: UUID = (await session.execute(select(new_id))).scalar_one()
    return found


async def add(session: AsyncSession, report: Mapping[str, Any], pictures: Mapping[str, str]) -> None:
    """Keep one, with its pictures (SVG) by name."""
    await session.execute(insert(reports).values(report))
    if pictures:
        rows = [{"report_id": report["id"], "name": name, "svg": svg} for name, svg in pictures.items()]
        await session.execute(insert(report_pictures), rows)


async def list_all(
    session: AsyncSession, within: Collection[str] | None, label: str | None, after: UUID | None, limit: int
) -> Sequence[Report]:
    """Reports within labels, about one label or about whatever, the newest first; `after` is an id."""
    wanted = select(*_COLUMNS).where(in_scope(within)).order_by(reports.c.id.desc()).limit(limit)
    if label is not None:
        wanted = wanted.where(reports.c.labels == [label])
    if after is not None:
        wanted = wanted.where(reports.c.id < after)
    return [Report(**values(row)) for row in await session.execute(wanted)]


async def latest(session: AsyncSession, labels: Collection[str] | None) -> Report | None:
    """The newest report about the bots with these labels and no others (None: about all bots)."""
    about = reports.c.labels.is_(None) if labels is None else reports.c.labels == sorted(labels)
    row = (await session.execute(select(*_COLUMNS).where(about).order_by(reports.c.id.desc()).limit(1))).one_or_none()
    return Report(**values(row)) if row else None


async def figures(session: AsyncSession, report_id: UUID, within: Collection[str] | None) -> Mapping[str, Any] | None:
    """What a report says, or None."""
    found = await session.execute(select(reports.c.figures).where(reports.c.id == report_id, in_scope(within)))
    figures: Mapping[str, Any] | None = found.scalar_one_or_none()
    return figures


async def page(session: AsyncSession, report_id: UUID, within: Collection[str] | None) -> str | None:
    """A report as one HTML file, or None."""
    found = await session.execute(select(reports.c.page).where(reports.c.id == report_id, in_scope(within)))
    return found.scalar_one_or_none()


async def picture(session: AsyncSession, report_id: UUID, name: str, within: Collection[str] | None) -> str | None:
    """A picture of a report, or None."""
    found = await session.execute(
        select(report_pictures.c.svg)
        .join(reports)
        .where(reports.c.id == report_id, report_pictures.c.name == name, in_scope(within))
    )
    return found.scalar_one_or_none()


async def drop_older(session: AsyncSession, kept: timedelta) -> None:
    """Delete reports that are older than this, with their pictures."""
    await session.execute(delete(reports).where(reports.c.made_at < func.app_now(type_=Instant) - kept))
