"""Breakers: what X takes nothing of for now, and why."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from deployments.gateway.sign_in import Opened, needs
from tasks.domain.posts import Cause
from tasks.domain.roles import Actor
from tasks.operations import breakers

router = APIRouter(prefix="/breakers", tags=["breakers"])


class BreakerView(BaseModel):
    """An open breaker; without `ends_at` only a person ends it.

    Once it has ended it is `half_open`: X is asked whether that is over, and a good answer closes it. `probe_said` is
    X's last no to that.
    """

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    over: str
    cause: Cause
    evidence: str
    opened_at: datetime
    ends_at: datetime | None
    half_open: bool
    probed_at: datetime | None
    probe_said: str | None


class Closing(BaseModel):
    """What was put right."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=1, max_length=500)]


@router.get("")
async def standing(caller: Annotated[Actor, needs("breakers.read")], at: Opened) -> list[BreakerView]:
    """Breakers that are open or half open, the oldest first."""
    return [BreakerView.model_validate(row) for row in await breakers.standing(at)]


@router.post("/{breaker_id}/close")
async def close(
    breaker_id: UUID, closing: Closing, caller: Annotated[Actor, needs("breakers.close")], at: Opened
) -> BreakerView:
    """Have X asked now whether it takes an app or a bot again; once it does, their posts go out."""
    return BreakerView.model_validate(await breakers.close(at, breaker_id, closing.reason, caller))
