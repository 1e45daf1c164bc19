"""Notifications: channels by which operators are told, and what was told."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from deployments.gateway.paging import ByAge
from deployments.gateway.routers.runs import StartedRun
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.alarms import About
from tasks.domain.notifications import Kind, NewChannel
from tasks.domain.roles import Actor
from tasks.operations import channels, notifications

router = APIRouter(prefix="/notifications", tags=["notifications"])

Name = Annotated[str, Path(max_length=50, pattern=r"^[a-z0-9][a-z0-9_-]*$", examples=["on-call"])]


class ChannelView(BaseModel):
    """A channel; its address and secret are in the vault and not shown. `about` empty is everything."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    kind: Kind
    host: str
    about: list[About]
    created_by: str
    created_at: datetime


class AddedChannel(ChannelView):
    """`signing_secret` is shown this once: by it the receiver of a webhook knows our messages."""

    signing_secret: str | None


class DeliveryView(BaseModel):
    """One message on one channel; `problem` says why the last try did not do."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    channel: str
    about: About
    title: str
    state: Annotated[str, Field(examples=["sent"])]
    tries: int
    problem: str | None
    created_at: datetime
    ended_at: datetime | None


@router.get("/channels")
async def list_channels(caller: Annotated[Actor, needs("notifications.read")], at: Opened) -> list[ChannelView]:
    """Every channel, by name."""
    return [ChannelView.model_validate(row) for row in await channels.list_all(at)]


@router.post("/channels", status_code=201)
async def add(given: NewChannel, caller: Annotated[Actor, needs("notifications.write")], at: Opened) -> AddedChannel:
    """Put a channel in; its address and secret go to the vault."""
    added = await channels.add(at, given, caller)
    shown = ChannelView.model_validate(added.channel).model_dump()
    return AddedChannel(**shown, signing_secret=added.signing_secret)


@router.delete("/channels/{name}", status_code=204)
async def remove(name: Name, caller: Annotated[Actor, needs("notifications.write")], at: Opened) -> None:
    """Take a channel out of use; what was told on it stays in the log."""
    await channels.remove(at, name, caller)


@router.post("/channels/{name}/test", status_code=202)
async def test(
    name: Name, caller: Annotated[Actor, needs("notifications.write")], at: Opened, response: Response
) -> StartedRun:
    """Start a run that sends a word of no consequence."""
    started = await channels.test(at, name, caller)
    address = f"/api/v1/runs/{started.run.id}"
    response.headers["Location"] = address
    return StartedRun(
        request_id=started.request_id,
        flow_run_id=started.run.id,
        deployment=started.deployment,
        address=address,
        page=started.run.page,
    )


@router.get("/deliveries")
async def deliveries(
    caller: Annotated[Actor, needs("notifications.read")], at: Opened, part: Annotated[ByAge, Depends()]
) -> list[DeliveryView]:
    """What was told, and what is still to be told, the latest first."""
    rows = await notifications.page(at, part.after_id, part.limit + 1)
    shown = part.shown(rows, lambda row: [str(row.id)])
    return [DeliveryView.model_validate({**vars(row), "title": str(row.alarm["title"])}) for row in shown]
