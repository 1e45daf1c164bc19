"""Reports as people read them: which there are, what they say, their pictures."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from tasks.connections import Connections
from tasks.domain.roles import Actor
from tasks.operations.insight import labels
from tasks.store import reports
from tasks.store.reports import Report


class NoSuchReportError(LookupError):
    """There is no such report or picture, or it is about bots that the actor may not see."""


async def list_all(
    at: Connections, label: str | None, after: UUID | None, limit: int, actor: Actor
) -> Sequence[Report]:
    """Reports about one label or about whatever, the newest first. Raises NotWithinError."""
    labels(actor, label)
    async with at.transaction() as session:
        return await reports.list_all(session, actor.within("metrics.read"), label, after, limit)


async def latest(at: Connections, label: str | None, actor: Actor) -> Report:
    """The newest about a label, or about all that the actor may see. Raises NotWithinError, NoSuchReportError."""
    within = labels(actor, label)
    async with at.transaction() as session:
        found = await reports.latest(session, within)
    if found is None:
        raise NoSuchReportError("report yet: `vivesphere metrics report` makes one")
    return found


async def figures(at: Connections, report_id: UUID, actor: Actor) -> Mapping[str, Any]:
    """What a report says. Raises NoSuchReportError."""
    async with at.transaction() as session:
        found = await reports.figures(session, report_id, actor.within("metrics.read"))
    if found is None:
        raise NoSuchReportError(f"report {report_id}")
    return found


async def page(at: Connections, report_id: UUID, actor: Actor) -> str:
    """A report as one HTML file. Raises NoSuchReportError."""
    async with at.transaction() as session:
        found = await reports.page(session, report_id, actor.within("metrics.read"))
    if found is None:
        raise NoSuchReportError(f"report {report_id}")
    return found


async def picture(at: Connections, report_id: UUID, name: str, actor: Actor) -> str:
    """A picture of a report, as SVG. Raises NoSuchReportError."""
    async with at.transaction() as session:
        found = await reports.picture(session, report_id, name, actor.within("metrics.read"))
    if found is None:
        raise NoSuchReportError(f"picture {name} of report {report_id}")
    return found
