"""The audit: look, search, check, export."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from starlette.responses import StreamingResponse

from deployments.gateway.sign_in import Opened, needs
from tasks.domain import audit_file
from tasks.domain.audit_check import Kind
from tasks.domain.roles import Actor
from tasks.operations import audit
from tasks.store.audit import Wanted

router = APIRouter(prefix="/audit", tags=["audit"])

PAGE_MAX = 500
MEDIA_TYPE = "application/x-ndjson"

Word = Annotated[str | None, Query(max_length=200)]


class RowView(BaseModel):
    """One change; `seal` is the number of the seal that covers it, absent for the second or two until there is one."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    category: Literal["activity", "security"]
    actor: str
    actor_kind: Literal["user", "key", "system"]
    action: str
    subject: str
    bot: str | None = None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    details: Mapping[str, Any]
    seal: int | None = None


class RowPage(BaseModel):
    """Rows from the newest downwards; `next` is what to give as `before` for the following page."""

    rows: list[RowView]
    next: int | None


class FindingView(BaseModel):
    """One thing that is not as it was sealed."""

    model_config = ConfigDict(from_attributes=True)

    kind: Kind
    said: str
    row_id: int | None
    seal: int | None


class ReportView(BaseModel):
    """What a check found; `said` tells how far it reaches, `key` names the public keys of the seals."""

    model_config = ConfigDict(from_attributes=True)

    findings: list[FindingView]
    seals: int
    rows: int
    anchored_to: int | None
    newer: int
    said: str
    key: str


@router.get("")
async def list_rows(
    caller: Annotated[Actor, needs("audit.read")],
    at: Opened,
    actor: Word = None,
    action: Word = None,
    subject: Word = None,
    bot: Word = None,
    text: Word = None,
    category: Literal["activity", "security"] | None = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    before: Annotated[int | None, Query(ge=1)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> RowPage:
    """Changes from the newest downwards. `actor` and `action` may end in `*`; `text` is looked for in all of a row."""
    bare = bot.removeprefix("@") if bot else None
    labels = caller.within("audit.read")
    wanted = Wanted(actor, action, subject, category, bare, text, labels, since, until)
    found = await audit.page(at, wanted, before, limit + 1)
    rows = [
        RowView.model_validate(one.row).model_copy(update={"bot": one.bot, "seal": one.seal}) for one in found[:limit]
    ]
    return RowPage(rows=rows, next=rows[-1].id if len(found) > limit else None)


@router.get("/verify")
async def verify(
    caller: Annotated[Actor, needs("audit.verify")],
    at: Opened,
    kept_number: Annotated[int | None, Query(ge=1)] = None,
    kept_digest: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
) -> ReportView:
    """Check every row, every seal, every signature and the anchor; takes some seconds for each 100,000 rows.

    `kept_number` and `kept_digest` are of a seal that was kept elsewhere: it must be here, and the same.
    """
    kept = (kept_number, bytes.fromhex(kept_digest)) if kept_number and kept_digest else None
    return ReportView.model_validate(await audit.check(at, kept))


@router.get("/export", response_class=StreamingResponse, responses={200: {"content": {MEDIA_TYPE: {}}}})
async def export(
    caller: Annotated[Actor, needs("audit.export")],
    at: Opened,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    label: Word = None,
) -> StreamingResponse:
    """Rows, seals, anchor and public keys as JSON lines, to be checked without us; a file without `end` is cut."""
    lines: AsyncIterator[str] = await audit.export(at, audit_file.Excerpt(since, until, label), caller)
    return StreamingResponse(lines, media_type=MEDIA_TYPE)
