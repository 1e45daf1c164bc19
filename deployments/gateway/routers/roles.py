"""Roles: who is bound to which, for what, until when."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from deployments.gateway.paging import ByName
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor, Role
from tasks.operations import users

router = APIRouter(prefix="/roles", tags=["roles"])

Label = Annotated[str, Field(min_length=1, max_length=100)]


class Binding(BaseModel):
    """A role for one user: for everything, or for bots that bear `label`."""

    model_config = ConfigDict(extra="forbid")

    user_id: UUID
    role: Role
    label: Label | None = None


class NewBinding(Binding):
    """A role for one user; with `ends_at` it ends by itself."""

    ends_at: AwareDatetime | None = None


class BindingView(BaseModel):
    """A role that a user holds, or held until `ends_at`."""

    model_config = ConfigDict(from_attributes=True)

    user_id: UUID
    username: str
    role: Role
    label: str | None
    ends_at: datetime | None
    created_at: datetime


@router.get("")
async def list_bindings(
    caller: Annotated[Actor, needs("roles.read")],
    at: Opened,
    part: Annotated[ByName, Depends()],
    user_id: UUID | None = None,
) -> list[BindingView]:
    """What binds one user or all; ended roles among them."""
    found = part.cut(await users.bindings(at, user_id), lambda one: f"{one.username} {one.role} {one.label or ''}")
    return [BindingView.model_validate(one) for one in found]


@router.post("/assign")
async def assign(given: NewBinding, caller: Annotated[Actor, needs("roles.assign")], at: Opened) -> BindingView:
    """Bind a user to a role, or change when that ends."""
    bound = await users.assign(at, given.user_id, given.role, given.label, given.ends_at, caller)
    return BindingView.model_validate(bound)


@router.post("/revoke", status_code=204)
async def revoke(given: Binding, caller: Annotated[Actor, needs("roles.assign")], at: Opened) -> None:
    """Take a role from a user."""
    await users.revoke(at, given.user_id, given.role, given.label, caller)
