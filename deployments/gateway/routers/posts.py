"""Posts: schedule, look, cancel."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict

from deployments.gateway import paging
from deployments.gateway.paging import Cursor
from deployments.gateway.revisions import IfMatch, expected
from deployments.gateway.routers.media import MediaView
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.misfire import Misfire
from tasks.domain.policy.finding import Severity
from tasks.domain.policy.gate import RULES
from tasks.domain.posts import Change, Draft, Poll, Status
from tasks.domain.roles import Actor
from tasks.operations import posts, provenance, threads
from tasks.operations.posts import HandedIn, Source

router = APIRouter(prefix="/posts", tags=["posts"])

DRAFTS_MAX = 1000
PAGE_MAX = 200

Word = Annotated[str | None, Query(max_length=100)]


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
    thread_id: UUID | None
    thread_place: int | None
    poll: Poll | None
    media_count: int
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
    approved_by: str | None
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


class RevisionView(BaseModel):
    """What a post said before it was changed."""

    revision: int
    text: str
    due_at: datetime
    replaced_by: str
    replaced_at: datetime


class HistoryView(PostView):
    """A post with what it shows and said before, every verdict and every attempt."""

    media: list[MediaView]
    earlier: list[RevisionView]
    verdicts: list[VerdictView]
    tries: list[AttemptView]


class LineView(BaseModel):
    """One thing that happened to a post."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    said: str


class WhyView(BaseModel):
    """A post's story in order; `now` says why it stands where it stands, and what it waits for."""

    id: UUID
    bot: str
    text: str
    status: Status
    lines: list[LineView]
    now: list[str]


class PostPage(BaseModel):
    """Posts from the latest due instant downwards; `next` is the cursor of the following page."""

    posts: list[PostView]
    next: str | None


class ReceiptView(BaseModel):
    """What became of the draft in this place; `reasons` name rule and evidence.

    `dearer_times`: a link makes the post so many times dearer.
    """

    model_config = ConfigDict(from_attributes=True)

    result: Literal["scheduled", "awaiting_approval", "unchanged", "conflict", "refused"]
    post_id: UUID | None
    reasons: list[str]
    cost_usd: Decimal | None
    dearer_times: int | None


class FindingView(BaseModel):
    """A rule that objects: how hard, to what, what to do, and who says so; `x_policy` is not overruled by anybody."""

    model_config = ConfigDict(from_attributes=True)

    rule: str
    severity: Severity
    evidence: str
    advice: str
    x_policy: bool
    source: str


class CheckView(BaseModel):
    """What the gate says of the draft in this place; `reasons` are what is wrong before any rule is asked."""

    result: Literal["scheduled", "awaiting_approval", "unchanged", "conflict", "refused"]
    policy_version: str
    reasons: list[str]
    findings: list[FindingView]


class EditedView(BaseModel):
    """The post as it stands, and whether the gate let the change pass."""

    post: PostView
    receipt: ReceiptView


class ResumedView(BaseModel):
    """Ids of the parts that go on, in their order, and of those that left the thread."""

    model_config = ConfigDict(from_attributes=True)

    going_on: list[UUID]
    left_out: list[UUID]


@router.get("")
async def list_posts(
    caller: Annotated[Actor, needs("posts.read")],
    at: Opened,
    bot: Word = None,
    status: Status | None = None,
    label: Word = None,
    since: Annotated[AwareDatetime | None, Query(description="Due from this instant on.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Due before this instant.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> PostPage:
    """One page of posts; posts that come in meanwhile neither repeat nor hide others."""
    before = paging.place(cursor) if cursor else None
    bare = bot.removeprefix("@") if bot else None
    wanted = {"bot": bare, "status": status, "label": label, "since": since, "until": until}
    found = await posts.page(at, caller, **wanted, before=before, limit=limit + 1)
    shown = [PostView.model_validate(post) for post in found[:limit]]
    more = len(found) > limit
    return PostPage(posts=shown, next=paging.cursor(shown[-1].due_at, shown[-1].id) if more else None)


@router.get("/counts")
async def counts(caller: Annotated[Actor, needs("posts.read")], at: Opened) -> Mapping[Status, int]:
    """Number of posts by status."""
    return await posts.counts(at, caller)  # type: ignore[return-value]  # the database allows these words alone


@router.get("/{post_id}")
async def show(
    post_id: UUID, caller: Annotated[Actor, needs("posts.read")], at: Opened, response: Response
) -> HistoryView:
    """One post with what it shows and said, every verdict and every attempt; its ETag is its revision."""
    found = await posts.history(at, post_id, caller)
    response.headers["ETag"] = f'"{found.post.revision}"'
    return HistoryView(
        **PostView.model_validate(found.post).model_dump(),
        verdicts=[VerdictView.model_validate(verdict) for verdict in found.verdicts],
        earlier=[RevisionView.model_validate(one) for one in found.revisions],
        media=[MediaView.model_validate(one) for one in found.media],
        tries=[AttemptView.model_validate(attempt) for attempt in found.attempts],
    )


@router.get("/{post_id}/why")
async def why(post_id: UUID, caller: Annotated[Actor, needs("posts.read")], at: Opened) -> WhyView:
    """The whole story of one post, in order and in words: why it went out, or why it did not."""
    found = await provenance.why(at, post_id, caller.within("posts.read"))
    return WhyView(
        id=post_id,
        bot=found.post["bot"],
        text=found.post["text"],
        status=found.post["status"],
        lines=[LineView.model_validate(line) for line in found.story.lines],
        now=list(found.story.now),
    )


@router.post("/check")
async def check(
    drafts: Annotated[list[Draft], Body(min_length=1, max_length=DRAFTS_MAX)],
    caller: Annotated[Actor, needs("posts.schedule")],
    at: Opened,
) -> list[CheckView]:
    """Say what the gate would say, rule by rule, and store nothing."""
    return [
        CheckView(
            result=receipt.result,
            policy_version=version,
            reasons=list(receipt.reasons),
            findings=[FindingView(**asdict(one), **_of_rule(one.rule)) for one in receipt.findings],
        )
        for receipt, version in await posts.check(at, drafts, caller)
    ]


def _of_rule(name: str) -> dict[str, Any]:
    return {"x_policy": RULES[name].x_policy, "source": RULES[name].source}


@router.post("", status_code=201, responses={200: {"description": "Nothing new was stored."}})
async def schedule(
    drafts: Annotated[list[Draft], Body(min_length=1, max_length=DRAFTS_MAX)],
    caller: Annotated[Actor, needs("posts.schedule")],
    at: Opened,
    response: Response,
    dry_run: bool = False,
    source: HandedIn = "api",
) -> list[ReceiptView]:
    """Schedule up to 1,000 posts; each receipt stands in the place of its draft."""
    receipts = await posts.schedule(at, drafts, caller, source, dry_run)
    if dry_run or not any(receipt.result in ("scheduled", "awaiting_approval") for receipt in receipts):
        response.status_code = 200
    return [ReceiptView.model_validate(receipt) for receipt in receipts]


@router.patch(
    "/{post_id}",
    responses={
        409: {"description": "The post is on its way or out."},
        412: {"description": "It was changed meanwhile."},
    },
)
async def edit(
    post_id: UUID,
    change: Change,
    caller: Annotated[Actor, needs("posts.schedule")],
    at: Opened,
    response: Response,
    if_match: IfMatch = None,
) -> EditedView:
    """Change a post that is not on its way yet; what the gate refuses leaves it as it was."""
    post, receipt = await posts.edit(at, post_id, change, caller, expected(if_match))
    response.headers["ETag"] = f'"{post.revision}"'
    return EditedView(post=PostView.model_validate(post), receipt=ReceiptView.model_validate(receipt))


@router.post("/{post_id}/resume-thread", responses={409: {"description": "The thread cannot go on."}})
async def resume_thread(post_id: UUID, caller: Annotated[Actor, needs("posts.schedule")], at: Opened) -> ResumedView:
    """Let the rest of a broken thread follow its last part that is out."""
    return ResumedView.model_validate(await threads.resume(at, post_id, caller))


@router.post("/{post_id}/delete", status_code=202, responses={409: {"description": "The post is not on X."}})
async def delete(post_id: UUID, caller: Annotated[Actor, needs("posts.cancel")], at: Opened) -> PostView:
    """Have a post that is out deleted on X; it is `deleted` once X has done it."""
    return PostView.model_validate(await posts.delete(at, post_id, caller))


@router.post("/{post_id}/cancel", responses={409: {"description": "The post is on its way or out."}})
async def cancel(post_id: UUID, caller: Annotated[Actor, needs("posts.cancel")], at: Opened) -> PostView:
    """Cancel a post that is not on its way yet."""
    return PostView.model_validate(await posts.cancel(at, post_id, caller))
