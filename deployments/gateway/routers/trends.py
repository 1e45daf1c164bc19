"""Trends: what rises, where it stood, and how its sources stand. Insight only: nothing here writes a post."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, computed_field
from starlette.responses import Response

from deployments.gateway.routers.reports import HEADERS, SVG
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.ranking import Method
from tasks.domain.roles import Actor
from tasks.operations import trend_picks, trends

router = APIRouter(prefix="/trends", tags=["trends"])

Days = Annotated[int, Query(ge=1, le=14, description="Where it stood in so many days.")]


class PartView(BaseModel):
    """A part of a score: `points` of it, and why in words."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    points: float
    said: str


class TrendView(BaseModel):
    """A trend as it stood when all lists were scored last; `score` is the sum of its parts.

    `cluster` is what its spellings have in common. `rising_since` is null where it does not rise, `first_seen_at` is
    when any list had it first, as far as history is kept.
    """

    model_config = ConfigDict(from_attributes=True)

    cluster: str
    name: str
    shown: str
    kind: str
    language: str | None
    url: str | None
    score: float
    parts: list[PartView]
    sources: list[str]
    first_seen_at: datetime
    rising_since: datetime | None
    scored_at: datetime


class StoodView(BaseModel):
    """Where a spelling stood on a list of `length` places; `promoted` is what somebody paid for."""

    model_config = ConfigDict(from_attributes=True)

    source: str
    shown: str
    bucket_at: datetime
    rank: int
    length: int
    volume: int | None
    promoted: bool


class CourseView(BaseModel):
    """A trend and its course; `trend` is null where no list has it now."""

    model_config = ConfigDict(from_attributes=True)

    trend: TrendView | None
    stood: list[StoodView]


class SourceView(BaseModel):
    """How a source stands: `good_at` and `rows` are of its last good reading, `verdict` and `reason` of its last."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    place: str
    source_class: str
    next_at: datetime
    tried_at: datetime | None
    verdict: str | None
    reason: str | None
    failures: int
    good_at: datetime | None
    rows: int | None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def source(self) -> str:
        """Its name in one word."""
        return f"{self.name}:{self.place}"


class PickView(BaseModel):
    """A trend for a bot: `score` says how near it is to its interests, `rising` what it scores for everybody."""

    model_config = ConfigDict(from_attributes=True)

    shown: str
    language: str | None
    url: str | None
    headline: str | None
    score: float
    interest: str
    rising: float
    why: list[str]


class PicksView(BaseModel):
    """Trends for a bot. `method` is `meaning`, or `words` where there is no model or nothing has a vector yet.

    `compared` trends were looked at, `waiting` were not, because they have no vector yet.
    """

    model_config = ConfigDict(from_attributes=True)

    persona: str
    method: Method
    compared: int
    waiting: int
    picks: list[PickView]


@router.get("")
async def list_trends(
    caller: Annotated[Actor, needs("trends.read")],
    at: Opened,
    rising: Annotated[bool, Query(description="Only what rises.")] = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[TrendView]:
    """Trends that stand on a list, the highest score first."""
    return [TrendView.model_validate(one) for one in await trends.current(at, limit, rising)]


@router.get("/sources")
async def list_sources(caller: Annotated[Actor, needs("trends.read")], at: Opened) -> list[SourceView]:
    """How each source stands that the settings want and that was due before."""
    return [SourceView.model_validate(one) for one in await trends.sources(at)]


@router.get("/rising.svg", response_class=Response, responses={200: {"content": {SVG: {}}}})
async def picture(caller: Annotated[Actor, needs("trends.read")], at: Opened) -> Response:
    """What rises now, as a picture."""
    return Response(await trends.picture(at), media_type=SVG, headers={**HEADERS, "Cache-Control": "private, no-cache"})


@router.get("/show")
async def show(
    caller: Annotated[Actor, needs("trends.read")],
    at: Opened,
    name: Annotated[str, Query(min_length=1, max_length=300, description="In any spelling.")],
    days: Days = 2,
) -> CourseView:
    """A trend, what its score is made of, and where it stood on which list."""
    found, stood = await trends.show(at, name, days)
    return CourseView(
        trend=TrendView.model_validate(found) if found else None, stood=[StoodView.model_validate(one) for one in stood]
    )


@router.get("/for/{handle}")
async def for_bot(
    handle: str,
    caller: Annotated[Actor, needs("trends.read")],
    at: Opened,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> PicksView:
    """Trends that concern a bot's persona, the nearest first, and why. Its languages and never-topics are heeded."""
    return PicksView.model_validate(await trend_picks.for_bot(at, handle, caller, limit))
