"""Runs of flows: start one, see what became of it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from deployments.gateway.paging import ByAge
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.operations import runs

router = APIRouter(prefix="/runs", tags=["runs"])


class NewRun(BaseModel):
    """What to start: `flow/deployment`, or a flow that has one deployment only."""

    model_config = ConfigDict(extra="forbid")

    deployment: Annotated[str, Field(pattern=r"^[A-Za-z0-9_. -]{1,200}(/[A-Za-z0-9_. -]{1,200})?$")]
    arguments: dict[str, Any] = {}


class StartedRun(BaseModel):
    """A run that was asked for; `address` answers how it stands, `page` shows it to a person."""

    request_id: UUID
    flow_run_id: UUID
    deployment: str
    address: str
    page: str


class RunView(BaseModel):
    """A run as it stands; `state` is Prefect's, in lower case."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    deployment_id: UUID | None
    state: str
    message: str | None
    expected_start_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    page: str


@router.post("", status_code=202)
async def start(
    wanted: NewRun, caller: Annotated[Actor, needs("runs.start")], at: Opened, response: Response
) -> StartedRun:
    """Start a run of a deployment."""
    started = await runs.start(at, wanted.deployment, wanted.arguments, caller)
    address = f"/api/v1/runs/{started.run.id}"
    response.headers["Location"] = address
    return StartedRun(
        request_id=started.request_id,
        flow_run_id=started.run.id,
        deployment=started.deployment,
        address=address,
        page=started.run.page,
    )


@router.get("")
async def recent(
    caller: Annotated[Actor, needs("runs.read")],
    at: Opened,
    part: Annotated[ByAge, Depends()],
    deployment: Annotated[str | None, Query(max_length=401)] = None,
) -> list[RunView]:
    """The latest runs, of one deployment or of all."""
    found = await runs.recent(at, caller, deployment, part.after_run, part.limit)
    if found.next is not None:
        started_at = found.next.started_at
        part.lead([started_at.isoformat() if started_at else "", *map(str, found.next.run_ids)])
    return [RunView.model_validate(run) for run in found.runs]


@router.get("/{run_id}")
async def show(run_id: UUID, caller: Annotated[Actor, needs("runs.read")], at: Opened) -> RunView:
    """One run."""
    return RunView.model_validate(await runs.get(at, run_id, caller))
