"""The log: search what was done, and hand in lines of one's own."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from deployments.gateway import paging
from deployments.gateway.paging import Cursor
from deployments.gateway.problems import ProblemError
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.operations import logs
from tasks.operations.logs import LogType
from tasks.store.logs import Wanted

router = APIRouter(prefix="/logs", tags=["logs"])

PAGE_MAX = 500
DATA_BYTES_MAX = 16_384

Category = Literal["activity", "security", "debug"]
Word = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


class NewLine(BaseModel):
    """Something that a program did or saw. What looks like a credential is hidden before it is kept."""

    model_config = ConfigDict(extra="forbid")

    log_type: LogType
    log_data: Annotated[dict[str, Any], Field(examples=[{"event": "feed read", "items": 12}])]


class Accepted(BaseModel):
    """The line was taken in."""

    status: Literal["accepted"] = "accepted"


class LineView(BaseModel):
    """One thing that was done, refused or handed in; `audit` lines are sealed."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    origin: Literal["activity", "audit"]
    id: int
    category: Category
    actor: str
    action: str
    subject: str
    bot: str | None
    bot_id: UUID | None
    details: dict[str, Any]


class LinePage(BaseModel):
    """Lines from the newest downwards; `next` is the cursor of the following page."""

    lines: list[LineView]
    next: str | None


@router.post("/submit", status_code=202, responses={413: {"description": "More than 16,384 bytes."}})
async def submit(given: NewLine, caller: Annotated[Actor, needs("logs.submit")], at: Opened) -> Accepted:
    """Hand in a line; it stands under the caller's name as `logs.submit`."""
    if len(json.dumps(given.log_data, ensure_ascii=False).encode(errors="replace")) > DATA_BYTES_MAX:
        raise ProblemError(413, "too-long", f"log_data holds at most {DATA_BYTES_MAX:,} bytes as JSON")
    await logs.submit(at, given.log_type, given.log_data, caller)
    return Accepted()


@router.get("")
async def search(
    caller: Annotated[Actor, needs("logs.read")],
    at: Opened,
    category: Category | None = None,
    actor: Word = None,
    action: Word = None,
    subject: Word = None,
    label: Word = None,
    text: Word = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> LinePage:
    """Lines from the newest downwards. `actor`, `action` and `subject` may end in `*`; `text` is looked for in all of a
    line. Whose role is bound to labels sees lines of bots that bear one, and his own."""
    labels = caller.within("logs.read")
    wanted = Wanted(category, actor, action, subject, label, text, since, until, labels, caller.name)
    found = await logs.page(at, wanted, paging.line_place(cursor) if cursor else None, limit + 1)
    following = paging.line_cursor(found[limit - 1].place) if len(found) > limit else None
    return LinePage(lines=[LineView.model_validate(line) for line in found[:limit]], next=following)
