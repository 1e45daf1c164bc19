"""Rotation of a credential before its time."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.domain.versions import State
from tasks.operations.rotation import recipe

router = APIRouter(prefix="/rotations", tags=["credentials"])


class Wanted(BaseModel):
    """Which credential, and why."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Field(max_length=50, examples=["jwt_keys"])]
    subject: Annotated[str, Field(max_length=200, examples=["gateway"])]
    reason: Annotated[str, Field(min_length=1, max_length=500, examples=["a laptop was lost"])]


class Begun(BaseModel):
    """The version that the next run of rotate-credentials makes."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    subject: str
    version: int
    state: State


@router.post("", status_code=201)
async def begin(wanted: Wanted, caller: Annotated[Actor, needs("credentials.rotate")], at: Opened) -> Begun:
    """Begin a rotation; the settings under `rotation` say whose role may, and the next run takes it up."""
    return Begun.model_validate(await recipe.ask(at, wanted.kind, wanted.subject, caller, wanted.reason))
