"""Metrics: what bots gained, and what reading it costs."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from starlette.responses import StreamingResponse

from deployments.gateway.sign_in import Opened, needs
from tasks.domain.insight import ADVICE, Verdict
from tasks.domain.roles import Actor
from tasks.operations import insight, metric_plan, rollups
from tasks.reports.tables import csv_lines
from tasks.store.post_results import Order
from tasks.store.rollups import MEASURES, Span

router = APIRouter(prefix="/metrics", tags=["metrics"])

CSV = "text/csv"


class AppPlanView(BaseModel):
    """What a run reads of one app's bots (`app` null: bots without one); `calls` at most, `billed` are the things that
    X charges for, `put_off` what waits for tomorrow's money. `allowance_usd` is today's, null without a budget."""

    model_config = ConfigDict(from_attributes=True)

    app: str | None
    accounts: int
    posts: int
    put_off: int
    calls: int
    billed: int
    usd: Decimal
    allowance_usd: Decimal | None


class PlanView(BaseModel):
    """A run that would begin now."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    apps: list[AppPlanView]
    calls: int
    usd: Decimal


class GainedView(BaseModel):
    """What the posts of a bot gained in the hour or on the day (UTC) that begins at `at`: X's public counts, then what
    X tells the author alone; `followers` at its end, null where they were not read."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    snapshots: int
    impressions: int
    likes: int
    reposts: int
    replies: int
    quotes: int
    bookmarks: int
    engagements: int
    url_clicks: int
    profile_clicks: int
    followers: int | None


class TopPostView(BaseModel):
    """A post as it stood at `measured_at`. `engaged` is what anybody may see that people did: likes, reposts, replies,
    quotes and bookmarks; `engagements` is X's own count, for its author alone; `rate` is `engaged` over `impressions`,
    null where fewer than 100 saw it."""

    model_config = ConfigDict(from_attributes=True)

    post_id: UUID
    bot: str
    text: str
    source: str
    template: str | None
    x_post_id: str
    published_at: datetime
    measured_at: datetime
    impressions: int
    likes: int
    reposts: int
    replies: int
    quotes: int
    bookmarks: int
    engaged: int
    engagements: int | None
    rate: float | None


class SnapshotView(BaseModel):
    """Counts of a post as X gave them for an instant; null is what X did not say."""

    bucket_at: datetime
    impressions: int | None
    likes: int | None
    reposts: int | None
    replies: int | None
    quotes: int | None
    bookmarks: int | None
    engagements: int | None
    url_clicks: int | None
    profile_clicks: int | None


class CourseView(BaseModel):
    """How a post went, from its first snapshot on."""

    model_config = ConfigDict(from_attributes=True)

    post_id: UUID
    bot: str
    text: str
    published_at: datetime
    x_post_id: str | None
    snapshots: list[SnapshotView]


class InsightView(BaseModel):
    """How a bot does by its posts of the last `days` days, as they stood when they were a day old.

    `rate` is what people did (likes, reposts, replies, quotes, bookmarks) for each view, `rate_low` to `rate_high` its
    95 % interval, `x_rate` the same by X's own count of engagements; `weekly` is the growth of followers in a week
    (0.01: 1 %). `share` is what is left of its usual views, `z` how surprising that is, `verdict` what it looks like.
    """

    model_config = ConfigDict(from_attributes=True)

    bot: str
    made_at: datetime
    days: int
    posts: int
    impressions: int
    engaged: int
    rate: float | None
    rate_low: float | None
    rate_high: float | None
    x_rate: float | None
    half_life_hours: float | None
    followers: int | None
    gained: int | None
    weekly: float | None
    verdict: Verdict
    share: float | None
    z: float | None
    advice: str = ""


class HourView(BaseModel):
    """An hour of the week in the bot's time zone (`weekday` 0 is Monday). A post does `lift` times as well as at the
    persona's average hour, from `low` to `high` with 95 %; `posts` is what was posted at it."""

    model_config = ConfigDict(from_attributes=True)

    weekday: int
    hour: int
    posts: int
    lift: float
    low: float
    high: float
    made_at: datetime


@router.get("/plan")
async def plan(caller: Annotated[Actor, needs("apps.read")], at: Opened) -> PlanView:
    """What collect-metrics would read now, by app, and what X would charge; nothing is read."""
    return PlanView.model_validate(await metric_plan.plan(at))


@router.get("/bots/{handle}")
async def of_bot(
    handle: str,
    caller: Annotated[Actor, needs("metrics.read")],
    at: Opened,
    by: Span = "day",
    since: Annotated[AwareDatetime | None, Query(description="Absent: a week of hours, 90 days.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Absent: now.")] = None,
) -> list[GainedView]:
    """What a bot gained, hour by hour or day by day, oldest first."""
    found = await rollups.of_bot(at, handle, by, since, until, caller)
    return [GainedView.model_validate(one) for one in found]


@router.get("/bots/{handle}/insight")
async def insight_of_bot(
    handle: str, caller: Annotated[Actor, needs("metrics.read")], at: Opened
) -> InsightView | None:
    """How a bot does, and whether far fewer see its posts than used to; null until the first report is made."""
    found = await insight.of_bot(at, handle, caller)
    if found is None:
        return None
    return InsightView.model_validate(found).model_copy(update={"advice": ADVICE[found.verdict]})


@router.get("/bots/{handle}/best-times")
async def best_times(handle: str, caller: Annotated[Actor, needs("metrics.read")], at: Opened) -> list[HourView]:
    """What each hour of the week is worth to a bot's persona, from Monday on; empty until the first report is made."""
    return [HourView.model_validate(hour) for hour in await insight.hours(at, handle, caller)]


@router.get("/top")
async def top(
    caller: Annotated[Actor, needs("metrics.read")],
    at: Opened,
    by: Order = "engaged",
    days: Annotated[int, Query(ge=1, le=366, description="Posts that came out in so many days.")] = 7,
    label: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 20,
) -> list[TopPostView]:
    """The best posts of the last days, of all bots that the caller may see or of those with one label."""
    return [TopPostView.model_validate(post) for post in await insight.top(at, by, days, label, limit, caller)]


@router.get("/export", response_class=StreamingResponse, responses={200: {"content": {CSV: {}}}})
async def export(
    caller: Annotated[Actor, needs("metrics.read")],
    at: Opened,
    since: Annotated[date | None, Query(description="Absent: four weeks.")] = None,
    until: Annotated[date | None, Query(description="This day included; absent: today.")] = None,
    label: Annotated[str | None, Query(max_length=100)] = None,
) -> StreamingResponse:
    """What each bot gained on each day (UTC) as CSV; `followers` is empty where they were not read."""
    rows = await insight.by_day(at, since, until, label, caller)
    return StreamingResponse(csv_lines(rows, ("bot", "day", *MEASURES, "followers")), media_type=CSV)


@router.get("/posts/{post_id}")
async def course(post_id: UUID, caller: Annotated[Actor, needs("metrics.read")], at: Opened) -> CourseView:
    """How a post that is out went: its snapshots, as long as they are kept."""
    return CourseView.model_validate(await insight.course(at, post_id, caller))
