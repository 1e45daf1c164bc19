"""Posts: schedule, look, cancel."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel, ConfigDict

from deployments.gateway import paging
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.misfire import Misfire
from tasks.domain.posts import Draft, Status
from tasks.domain.roles import Actor
from tasks.operations import posts
from tasks.operations.posts import Source

router = APIRouter(prefix="/posts", tags=["posts"])

DRAFTS_MAX = 1000
PAGE_MAX = 200


class PostView(BaseModel):
    """A post as it stands."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    bot: str
    text: str
    due_at: datetime
    planned_at: datetime
    expires_at: datetime | None
    spread_seconds: int
    misfire: Misfire
    misfire_within_seconds: int | None
    status: Status
    reason: str | None
    attempts: int
    revision: int
    source: Source
    external_id: str | None
    x_post_id: str | None
    published_at: datetime | None
    created_by: str
    created_at: datetime


class VerdictView(BaseModel):
    """What the gate said of one revision."""

    revision: int
    policy_version: str
    allowed: bool
    findings: list[dict[str, Any]]
    judged_at: datetime


class AttemptView(BaseModel):
    """One attempt to create the post on X; `ended` is absent while it is under way."""

    id: UUID
    revision: int
    marked_at: datetime
    first_byte_at: datetime | None
    ended: str | None
    ended_at: datetime | None
    http_status: int | None
    problem: str | None
    x_post_id: str | None


class HistoryView(PostView):
    """A post with every verdict and every attempt."""

    verdicts: list[VerdictView]
    tries: list[AttemptView]


class PostPage(BaseModel):
    """Posts from the latest due instant downwards; `next` is the cursor of the following page."""

    posts: list[PostView]
    next: str | None


class ReceiptView(BaseModel):
    """What became of the draft in this place; `reasons` name rule and evidence."""

    model_config = ConfigDict(from_attributes=True)

    result: Literal["scheduled", "unchanged", "conflict", "refused"]
    post_id: UUID | None
    reasons: list[str]


@router.get("")
async def list_posts(
    caller: Annotated[Actor, needs("posts.read")],
    at: Opened,
    bot: str | None = None,
    status: Status | None = None,
    label: str | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> PostPage:
    """One page of posts; posts that come in meanwhile neither repeat nor hide others."""
    before = paging.place(cursor) if cursor else None
    bare = bot.removeprefix("@") if bot else None
    found = await posts.page(at, bot=bare, status=status, label=label, before=before, limit=limit + 1)
    shown = [PostView.model_validate(post) for post in found[:limit]]
    more = len(found) > limit
    return PostPage(posts=shown, next=paging.cursor(shown[-1].due_at, shown[-1].id) if more else None)


@router.get("/counts")
async def counts(caller: Annotated[Actor, needs("posts.read")], at: Opened) -> Mapping[Status, int]:
    """Number of posts by status."""
    return await posts.counts(at)  # type: ignore[return-value]  # the database allows these words alone


@router.get("/{post_id}")
async def show(post_id: UUID, caller: Annotated[Actor, needs("posts.read")], at: Opened) -> HistoryView:
    """One post with every verdict and every attempt."""
    found = await posts.history(at, post_id)
    return HistoryView(
        **PostView.model_validate(found.post).model_dump(),
        verdicts=[VerdictView.model_validate(verdict) for verdict in found.verdicts],
        tries=[AttemptView.model_validate(attempt) for attempt in found.attempts],
    )


@router.post("", status_code=201, responses={200: {"description": "Nothing new was stored."}})
async def schedule(
    drafts: Annotated[list[Draft], Body(min_length=1, max_length=DRAFTS_MAX)],
    caller: Annotated[Actor, needs("posts.schedule")],
    at: Opened,
    response: Response,
    dry_run: bool = False,
    source: Source = "api",
) -> list[ReceiptView]:
    """Schedule up to 1,000 posts; each receipt stands in the place of its draft."""
    receipts = await posts.schedule(at, drafts, caller, source, dry_run)
    if dry_run or not any(receipt.result == "scheduled" for receipt in receipts):
        response.status_code = 200
    return [ReceiptView.model_validate(receipt) for receipt in receipts]


@router.post("/{post_id}/cancel", responses={409: {"description": "The post is on its way or out."}})
async def cancel(post_id: UUID, caller: Annotated[Actor, needs("posts.cancel")], at: Opened) -> PostView:
    """Cancel a post that is not on its way yet."""
    return PostView.model_validate(await posts.cancel(at, post_id, caller))
