"""Today: what went out, what did not, and what waits for a person."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict

from deployments.gateway.problems import ProblemError
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.domain.today import What
from tasks.operations import today as operations

router = APIRouter(prefix="/today", tags=["today"])


class ItemView(BaseModel):
    """One line: what, how many, what to say of it, what to do next, and whether a person must."""

    model_config = ConfigDict(from_attributes=True)

    what: What
    count: int
    said: str
    do: str
    person: bool


class TodayView(BaseModel):
    """What needs a person comes first."""

    model_config = ConfigDict(from_attributes=True)

    since: datetime
    now: datetime
    person_needed: bool
    items: list[ItemView]


@router.get("")
async def today(
    caller: Annotated[Actor, needs("posts.read")],
    at: Opened,
    since: AwareDatetime | None = None,
    label: Annotated[str | None, Query(max_length=100)] = None,
) -> TodayView:
    """Counts since an instant (absent: for a day) over the bots that the caller may see, or those with one label."""
    labels = caller.within("posts.read")
    if label is not None:
        if labels is not None and label not in labels:
            raise ProblemError(403, "not-allowed", f"{caller.name} has no role for the label {label}")
        labels = frozenset({label})
    return TodayView.model_validate(await operations.look(at, since, labels))
