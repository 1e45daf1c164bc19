"""Reports: which there are, what they say, and the pictures that Prefect's pages link to."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse, Response

from deployments.gateway.paging import ByAge
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.operations import reports

router = APIRouter(prefix="/metrics/reports", tags=["metrics"])

SVG = "image/svg+xml"
# They need nothing but their own styles: whatever text of a post says, it stays text.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=3600",
}


class ReportView(BaseModel):
    """A report that was made, by the days (UTC) that it is about; `labels` null: about all bots."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    made_at: datetime
    labels: list[str] | None
    since: date
    until: date


@router.get("")
async def list_reports(
    caller: Annotated[Actor, needs("metrics.read")],
    at: Opened,
    part: Annotated[ByAge, Depends()],
    label: Annotated[str | None, Query(max_length=100, description="Only about bots with this label alone.")] = None,
) -> list[ReportView]:
    """Reports that the caller may read, the newest first."""
    found = await reports.list_all(at, label, part.after_id, part.limit + 1, caller)
    return [ReportView.model_validate(one) for one in part.shown(found, lambda one: [str(one.id)])]


@router.get("/latest")
async def latest(
    caller: Annotated[Actor, needs("metrics.read")],
    at: Opened,
    label: Annotated[
        str | None, Query(max_length=100, description="Absent: about all that the caller may see.")
    ] = None,
) -> ReportView:
    """The newest report."""
    return ReportView.model_validate(await reports.latest(at, label, caller))


@router.get("/{report_id}")
async def figures(report_id: UUID, caller: Annotated[Actor, needs("metrics.read")], at: Opened) -> dict[str, Any]:
    """What a report says, for programs: totals, bots, sources, templates, best times and followers by day."""
    return dict(await reports.figures(at, report_id, caller))


@router.get("/{report_id}/page", response_class=HTMLResponse, responses={200: {"content": {"text/html": {}}}})
async def page(report_id: UUID, caller: Annotated[Actor, needs("metrics.read")], at: Opened) -> HTMLResponse:
    """A report as one HTML file that asks for nothing else."""
    return HTMLResponse(await reports.page(at, report_id, caller), headers=HEADERS)


@router.get("/{report_id}/pictures/{name}.svg", response_class=Response, responses={200: {"content": {SVG: {}}}})
async def picture(
    report_id: UUID,
    name: Annotated[str, Path(pattern=r"^[a-z0-9-]{1,60}$")],
    caller: Annotated[Actor, needs("metrics.read")],
    at: Opened,
) -> Response:
    """A picture of a report."""
    return Response(await reports.picture(at, report_id, name, caller), media_type=SVG, headers=HEADERS)
