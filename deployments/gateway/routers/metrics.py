"""Metrics: what bots gained, and what reading it costs."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict

from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.operations import metric_plan, rollups
from tasks.store.rollups import Span

router = APIRouter(prefix="/metrics", tags=["metrics"])


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
