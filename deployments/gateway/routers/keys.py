"""API keys of programs: the caller's own, or anybody's for who may change users."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from deployments.gateway.paging import ByName
from deployments.gateway.problems import ProblemError
from deployments.gateway.routers.roles import Label
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor, Role
from tasks.operations import api_keys

router = APIRouter(prefix="/keys", tags=["keys"])


class NewKey(BaseModel):
    """A key for a program, of the caller's or of `user_id`'s; with `role` or `label` it is worth no more than that."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100, examples=["backup script"])]
    role: Role | None = None
    label: Label | None = None
    ends_at: AwareDatetime | None = None
    user_id: UUID | None = None


class KeyView(BaseModel):
    """A key without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    role: Role | None
    label: str | None
    created_at: datetime
    ends_at: datetime | None
    used_at: Annotated[datetime | None, Field(description="To the minute.")]


class MadeKey(KeyView):
    """A key with what opens the door, `<id>:<secret>`; it is shown this once."""

    key: str


@router.get("")
async def list_keys(
    caller: Annotated[Actor, needs("access.own")],
    at: Opened,
    part: Annotated[ByName, Depends()],
    user_id: UUID | None = None,
) -> list[KeyView]:
    """Keys in force, by name."""
    found = await api_keys.of_user(at, _whose(caller, user_id))
    return [KeyView.model_validate(key) for key in part.cut(found, lambda key: key.name)]


@router.post("", status_code=201)
async def create(given: NewKey, caller: Annotated[Actor, needs("access.own")], at: Opened) -> MadeKey:
    """Make a key; an older one of this name ends."""
    made = await api_keys.create(
        at,
        _whose(caller, given.user_id),
        given.name,
        caller,
        role=given.role,
        label=given.label,
        ends_at=given.ends_at,
    )
    return MadeKey(**KeyView.model_validate(made.key).model_dump(), key=made.secret)


@router.post("/{key_id}/rotate", status_code=201)
async def rotate(key_id: UUID, caller: Annotated[Actor, needs("access.own")], at: Opened) -> MadeKey:
    """Make the next key for what this one is for; this one stays good for a while, so that programs can change over."""
    made = await api_keys.rotate(at, key_id, caller)
    return MadeKey(**KeyView.model_validate(made.key).model_dump(), key=made.secret)


@router.delete("/{key_id}", status_code=204)
async def revoke(key_id: UUID, caller: Annotated[Actor, needs("access.own")], at: Opened) -> None:
    """End a key."""
    await api_keys.revoke(at, key_id, caller)


def _whose(caller: Actor, user_id: UUID | None) -> UUID:
    if user_id is None or user_id == caller.user_id:
        if caller.user_id is None:
            raise ProblemError(403, "not-allowed", "only people and their keys have keys")
        return caller.user_id
    if not caller.may_everywhere("users.write"):
        raise ProblemError(403, "not-allowed", f"{caller.name} lacks the permission users.write")
    return user_id
