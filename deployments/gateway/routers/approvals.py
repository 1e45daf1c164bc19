"""Approvals: posts of which a person decides, and what the person says."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.operations import approving

router = APIRouter(prefix="/approvals", tags=["approvals"])

AT_ONCE_MAX = 500

Word = Annotated[str | None, Query(max_length=100)]


class WaitingView(BaseModel):
    """A post that waits: what it says, which rules ask and why, and what was approved of it last.

    `authors` wrote or changed it: unless the settings let them, they cannot approve it. Decide on the `revision` read.
    """

    model_config = ConfigDict(from_attributes=True)

    post_id: UUID
    bot: str
    persona: str
    text: str
    text_before: str | None
    due_at: datetime
    revision: int
    rules: list[str]
    findings: list[dict[str, Any]]
    thread_id: UUID | None
    authors: list[str]
    asked_at: datetime
    expires_at: datetime


class Chosen(BaseModel):
    """A post, and the revision of it that was read."""

    model_config = ConfigDict(extra="forbid")

    post_id: UUID
    revision: Annotated[int, Field(ge=1)]


class Deciding(BaseModel):
    """What is decided on."""

    model_config = ConfigDict(extra="forbid")

    posts: Annotated[list[Chosen], Field(min_length=1, max_length=AT_ONCE_MAX)]
    comment: Annotated[str | None, Field(max_length=500)] = None


class DecidedView(BaseModel):
    """What became of one post; `why` and `said` tell why nothing did. Other parts of a thread answer with it."""

    model_config = ConfigDict(from_attributes=True)

    post_id: UUID
    result: Literal["approved", "rejected", "not_decided"]
    why: Literal["changed", "gone", "own", "thread"] | None
    said: str | None


@router.get("")
async def waiting(
    caller: Annotated[Actor, needs("approvals.read")],
    at: Opened,
    bot: Word = None,
    persona: Word = None,
    rule: Word = None,
    limit: Annotated[int, Query(ge=1, le=AT_ONCE_MAX)] = 200,
) -> list[WaitingView]:
    """Posts that wait for a person, the next due first."""
    bare = bot.removeprefix("@") if bot else None
    found = await approving.waiting(at, caller, bot=bare, persona=persona, rule=rule, limit=limit)
    return [WaitingView.model_validate(one) for one in found]


@router.post("/approve")
async def approve(
    deciding: Deciding, caller: Annotated[Actor, needs("approvals.decide")], at: Opened
) -> list[DecidedView]:
    """Let posts pass, each for the words that were read; one that cannot be decided stops no other."""
    return await _decide(at, deciding, "approved", caller)


@router.post("/reject")
async def reject(
    deciding: Deciding, caller: Annotated[Actor, needs("approvals.decide")], at: Opened
) -> list[DecidedView]:
    """End posts that are not to go out; one that cannot be decided stops no other."""
    return await _decide(at, deciding, "rejected", caller)


async def _decide(at: Opened, deciding: Deciding, decision: approving.Decision, caller: Actor) -> list[DecidedView]:
    seen = {one.post_id: one.revision for one in deciding.posts}
    decided = await approving.decide(at, seen, decision, deciding.comment, caller)
    return [DecidedView.model_validate(one) for one in decided]
