"""Posts whose delivery is uncertain: list them, and settle them by a person's word."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from deployments.gateway.sign_in import Opened, needs
from tasks.domain.posts import Status
from tasks.domain.roles import Actor
from tasks.operations import uncertain
from tasks.operations.uncertain import Resolution

router = APIRouter(prefix="/posts", tags=["posts"])

RESOLUTIONS_MAX = 1000


class UncertainView(BaseModel):
    """A post that is held or unknown; `look_at` are the addresses at which a person looks for it.

    `next_look_at` is when the timeline is read again by itself; a held post waits for a person.
    """

    id: UUID
    bot: str
    text: str
    due_at: datetime
    status: Status
    reason: str | None
    cancel_wanted: bool
    sent_at: datetime | None
    looks: int
    looked_at: datetime | None
    next_look_at: datetime | None
    look_at: list[str]


class Resolutions(BaseModel):
    """Up to 1,000 words on single posts, with one reason for all, which the audit keeps."""

    model_config = ConfigDict(extra="forbid")

    resolutions: list[Resolution] = Field(min_length=1, max_length=RESOLUTIONS_MAX)
    reason: str = Field(min_length=1, max_length=500)
    even_so: bool = Field(False, description="Send again although X may still take the first request.")


class ResolvedView(BaseModel):
    """What became of the resolution in this place."""

    model_config = ConfigDict(from_attributes=True)

    post_id: UUID
    result: Literal["resolved", "refused"]
    status: Status | None
    said: str


@router.get("/uncertain")
async def list_uncertain(
    caller: Annotated[Actor, needs("posts.read")],
    at: Opened,
    bot: str | None = None,
    label: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> list[UncertainView]:
    """Posts that are held or unknown, held ones first."""
    bare = bot.removeprefix("@") if bot else None
    found = await uncertain.uncertain(at, caller, bot=bare, label=label, limit=limit)
    return [UncertainView.model_validate({**vars(one.post), "look_at": list(one.look_at)}) for one in found]


@router.post("/resolve")
async def resolve(
    wanted: Resolutions, caller: Annotated[Actor, needs("posts.resolve")], at: Opened
) -> list[ResolvedView]:
    """Settle posts by a person's word: found on X, sent again, or never sent. One refused stops no other."""
    done = await uncertain.resolve(at, wanted.resolutions, caller, wanted.reason, wanted.even_so)
    return [ResolvedView.model_validate(one) for one in done]
