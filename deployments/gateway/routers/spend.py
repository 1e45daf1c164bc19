"""Spend: what a month has cost and will cost."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.operations import spend
from tasks.operations.spend import By

router = APIRouter(prefix="/spend", tags=["spend"])


class LineView(BaseModel):
    """One app, label, bot or kind of request; `forecast_usd` is `booked_usd` and what is scheduled."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    booked_usd: Decimal
    forecast_usd: Decimal
    scheduled: int
    budget_usd: Decimal | None


class MonthView(BaseModel):
    """A calendar month in UTC, by prices that were read on that day."""

    model_config = ConfigDict(from_attributes=True)

    month: date
    prices_read_on: date
    lines: list[LineView]
    booked_usd: Decimal
    forecast_usd: Decimal


@router.get("")
async def month(
    caller: Annotated[Actor, needs("spend.read")],
    at: Opened,
    by: By = "app",
    month: Annotated[date | None, Query(description="Any day of the month; absent: this month.")] = None,
) -> MonthView:
    """A month over the bots that the caller may see."""
    return MonthView.model_validate(await spend.month(at, month, by, caller.within("spend.read")))
