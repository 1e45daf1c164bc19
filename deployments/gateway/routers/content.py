"""Content: what is planned, evergreen texts, and days on which nothing is said."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from deployments.gateway.routers.posts import ReceiptView
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.feeds import NewFeed, Utm
from tasks.domain.planning import Kind
from tasks.domain.roles import Actor
from tasks.operations import content, feeds, planning
from tasks.operations.content import NewBlackout, NewEvergreen, Shift
from tasks.operations.planning import Calendar, Wish

router = APIRouter(prefix="/content", tags=["content"])


class EntryView(BaseModel):
    """One post of a calendar; `reasons` say why it was not taken."""

    due_at: datetime
    bot: str
    text: str
    kind: Kind
    template: str
    result: Literal["scheduled", "awaiting_approval", "unchanged", "conflict", "refused"]
    post_id: UUID | None
    reasons: list[str]
    cost_usd: Decimal | None


class CalendarView(BaseModel):
    """Posts in the order they are due, what they cost on X, and what is to be known of turns that stay empty."""

    entries: list[EntryView]
    notes: list[str]
    usd: Decimal


class EvergreenView(BaseModel):
    """A text that keeps."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    bot: str
    name: str
    variants: list[str]
    cooldown_days: int
    recurrence: dict[str, Any] | None
    created_by: str
    created_at: datetime


class FeedView(BaseModel):
    """A feed; `waiting` entries have become no draft yet, and `problem` says why the last reading brought nothing."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    bot: str
    name: str
    url: str
    template: str
    cap_per_day: int
    utm: Utm | None
    read_at: datetime | None
    good_at: datetime | None
    problem: str | None
    created_by: str
    created_at: datetime
    waiting: int


class BlackoutView(BaseModel):
    """A day on which nothing is said that is planned; without bot and label the whole fleet's."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    day: date
    bot: str | None
    label: str | None
    reason: str
    created_by: str
    created_at: datetime


class MovedView(BaseModel):
    """A post that was shifted or cancelled, or, with `reasons`, was not."""

    model_config = ConfigDict(from_attributes=True)

    post_id: UUID
    bot: str
    due_at: datetime
    new_due_at: datetime | None
    reasons: list[str]


class BlackedOutView(BaseModel):
    """The blackout (absent after a dry run), and the posts of that day that were cancelled or would be."""

    blackout: BlackoutView | None
    cancelled: list[MovedView]


@router.post("/plan", status_code=201, responses={200: {"description": "Nothing new was planned."}})
async def plan(
    wish: Wish,
    caller: Annotated[Actor, needs("posts.schedule")],
    at: Opened,
    response: Response,
    dry_run: bool = False,
) -> CalendarView:
    """Fill free turns of the days to come; a dry run shows the same calendar and its price, and stores nothing."""
    found = await planning.make(at, wish, caller, dry_run)
    if dry_run or not any(one.receipt.result in ("scheduled", "awaiting_approval") for one in found.entries):
        response.status_code = 200
    return _calendar(found)


def _calendar(found: Calendar) -> CalendarView:
    entries = [
        EntryView(
            due_at=one.planned.due_at,
            bot=one.planned.bot,
            text=one.planned.text,
            kind=one.planned.name.kind,
            template=one.planned.template,
            result=one.receipt.result,
            post_id=one.receipt.post_id,
            reasons=list(one.receipt.reasons),
            cost_usd=one.receipt.cost_usd,
        )
        for one in found.entries
    ]
    return CalendarView(entries=entries, notes=list(found.notes), usd=found.usd)


@router.get("/turns")
async def turns(
    caller: Annotated[Actor, needs("posts.schedule")],
    at: Opened,
    bot: Annotated[str, Query(max_length=16)],
    count: Annotated[int, Query(ge=1, le=100)] = 1,
) -> Sequence[datetime]:
    """The next free turns of a bot, by the cadence of its persona."""
    return await planning.free_turns(at, bot.removeprefix("@"), count, caller)


@router.get("/evergreen")
async def list_evergreen(caller: Annotated[Actor, needs("posts.read")], at: Opened) -> list[EvergreenView]:
    """Every text that keeps, by bot and name."""
    return [EvergreenView.model_validate(one) for one in await content.list_evergreen(at, caller)]


@router.post("/evergreen", status_code=201, responses={409: {"description": "The bot has one of this name."}})
async def add_evergreen(
    wanted: NewEvergreen, caller: Annotated[Actor, needs("posts.schedule")], at: Opened
) -> EvergreenView:
    """Add a text that keeps; the gate looks at each wording first, and again whenever one is planned."""
    return EvergreenView.model_validate(await content.add_evergreen(at, wanted, caller))


@router.delete("/evergreen/{item_id}")
async def remove_evergreen(
    item_id: UUID, caller: Annotated[Actor, needs("posts.schedule")], at: Opened
) -> EvergreenView:
    """Remove one; posts that were planned from it stay."""
    return EvergreenView.model_validate(await content.remove_evergreen(at, item_id, caller))


@router.get("/feeds")
async def list_feeds(caller: Annotated[Actor, needs("posts.read")], at: Opened) -> list[FeedView]:
    """Every feed, by bot and name, with when it was last good and what is wrong."""
    return [FeedView.model_validate(one) for one in await feeds.list_all(at, caller)]


@router.post("/feeds", status_code=201, responses={409: {"description": "The bot has it."}})
async def add_feed(wanted: NewFeed, caller: Annotated[Actor, needs("posts.schedule")], at: Opened) -> FeedView:
    """Add a feed whose new entries become drafts of a bot; what it holds now is taken for old."""
    return FeedView.model_validate(await feeds.add(at, wanted, caller))


@router.delete("/feeds/{feed_id}")
async def remove_feed(feed_id: UUID, caller: Annotated[Actor, needs("posts.schedule")], at: Opened) -> FeedView:
    """Remove a feed; drafts that were made of it stay."""
    return FeedView.model_validate(await feeds.remove(at, feed_id, caller))


@router.post("/drafts/{post_id}/release", responses={409: {"description": "The post is no draft."}})
async def release(post_id: UUID, caller: Annotated[Actor, needs("posts.schedule")], at: Opened) -> ReceiptView:
    """Let a draft go out at its instant; it is judged anew, and what is refused stays a draft."""
    return ReceiptView.model_validate(await content.release(at, post_id, caller))


@router.post("/shift")
async def shift(
    wanted: Shift, caller: Annotated[Actor, needs("posts.schedule")], at: Opened, dry_run: bool = False
) -> list[MovedView]:
    """Move posts that wait for their instant; each is judged anew, and what is refused stays where it was."""
    return [MovedView.model_validate(one) for one in await content.shift(at, wanted, caller, dry_run)]


@router.get("/blackouts")
async def list_blackouts(caller: Annotated[Actor, needs("posts.read")], at: Opened) -> list[BlackoutView]:
    """Days from today on, on which nothing is said that is planned."""
    return [BlackoutView.model_validate(one) for one in await content.list_blackouts(at, caller)]


@router.post("/blackouts", responses={409: {"description": "It stands already."}})
async def black_out(
    wanted: NewBlackout, caller: Annotated[Actor, needs("posts.cancel")], at: Opened, dry_run: bool = False
) -> BlackedOutView:
    """Cancel what is scheduled on a day, in each bot's own zone, and plan nothing on it."""
    row, cancelled = await content.black_out(at, wanted, caller, dry_run)
    return BlackedOutView(
        blackout=BlackoutView.model_validate(row) if row else None,
        cancelled=[MovedView.model_validate(one) for one in cancelled],
    )


@router.delete("/blackouts/{blackout_id}")
async def lift(blackout_id: UUID, caller: Annotated[Actor, needs("posts.cancel")], at: Opened) -> BlackoutView:
    """Let bots be planned for on that day again; what was cancelled stays cancelled."""
    return BlackoutView.model_validate(await content.lift(at, blackout_id, caller))
