"""Stops: nothing goes out for the fleet, an app, a label or a bot, until a person says so."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.operations import stops
from tasks.operations.stops import Scope, Target

router = APIRouter(prefix="/stops", tags=["stops"])


class NewStop(BaseModel):
    """Whom to stop and why; `name` is the app's, the label's or the bot's, absent for the fleet.

    `hard` also kills every sender on the gateway's host.
    """

    model_config = ConfigDict(extra="forbid")

    scope: Scope
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    ends_at: AwareDatetime | None = None
    hard: bool = False


class StopView(BaseModel):
    """A stop."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    scope: Scope
    name: str | None
    reason: str
    created_by: str
    created_at: datetime
    ends_at: datetime | None


class InFlightView(BaseModel):
    """A request that left before the stop and has no outcome yet."""

    model_config = ConfigDict(from_attributes=True)

    post_id: UUID
    bot: str
    marked_at: datetime


class StoppedView(BaseModel):
    """The stop holds: no request starts any more. X may still take what is in flight."""

    model_config = ConfigDict(from_attributes=True)

    stop: StopView
    in_flight: list[InFlightView]
    ended_marks: int
    killed: list[int]


class OverdueView(BaseModel):
    """Posts of a bot that are due already: how many would go out now, and how many are too late."""

    model_config = ConfigDict(from_attributes=True)

    bot: str
    goes_out: int
    expires: int


class ResumptionView(BaseModel):
    """Stops, and what lifting them does with posts that are due already."""

    model_config = ConfigDict(from_attributes=True)

    stops: list[StopView]
    overdue: list[OverdueView]


@router.get("")
async def standing(caller: Annotated[Actor, needs("stops.read")], at: Opened) -> list[StopView]:
    """Stops in force, the oldest first."""
    return [StopView.model_validate(stop) for stop in await stops.standing(at, caller)]


@router.post("", status_code=201)
async def stop(wanted: NewStop, caller: Annotated[Actor, needs("stops.write")], at: Opened) -> StoppedView:
    """Stop; the answer comes within five seconds, once nothing starts any more."""
    target = Target(wanted.scope, wanted.name)
    return StoppedView.model_validate(await stops.stop(at, target, wanted.reason, caller, wanted.ends_at, wanted.hard))


@router.get("/resumption")
async def look_at_resumption(
    caller: Annotated[Actor, needs("stops.read")], at: Opened, id: Annotated[Sequence[UUID], Query(min_length=1)]
) -> ResumptionView:
    """What lifting these stops would do."""
    return ResumptionView.model_validate(await stops.look_at_resumption(at, id, caller))


@router.post("/resume")
async def resume(
    ids: Annotated[list[UUID], Body(min_length=1, max_length=100)],
    caller: Annotated[Actor, needs("stops.write")],
    at: Opened,
) -> ResumptionView:
    """Lift stops; posts that are due go out, one of each bot after the other."""
    return ResumptionView.model_validate(await stops.resume(at, ids, caller))
