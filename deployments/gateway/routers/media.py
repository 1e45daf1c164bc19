"""Media: pictures and films for posts."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from deployments.gateway import repeats
from deployments.gateway.paging import ByAge
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.media import ALT_TEXT_CHARACTERS_MAX, Category
from tasks.domain.roles import Actor
from tasks.operations import media

router = APIRouter(prefix="/media", tags=["media"])


class MediaView(BaseModel):
    """A picture or film of a bot; `id` goes into the `media` of a post."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    file_name: str
    media_type: str
    category: Category
    total_bytes: int
    alt_text: str | None


class StoredView(MediaView):
    """As `MediaView`, with whose it is and when it came in."""

    bot: str
    created_by: str
    created_at: datetime


@router.post(
    "",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def store(
    request: Request,
    caller: Annotated[Actor, needs("posts.schedule")],
    at: Opened,
    bot: Annotated[str, Query(max_length=50)],
    file_name: Annotated[str, Query(min_length=1, max_length=255)],
    alt_text: Annotated[str | None, Query(max_length=ALT_TEXT_CHARACTERS_MAX)] = None,
) -> MediaView:
    """Take a file in for a bot, as the body of the request; the same with the same alternative text is kept once."""
    found = await media.store(at, bot.removeprefix("@"), file_name, repeats.content(request), alt_text, caller)
    return MediaView.model_validate(found)


@router.get("")
async def list_media(
    caller: Annotated[Actor, needs("posts.read")],
    at: Opened,
    part: Annotated[ByAge, Depends()],
    bot: Annotated[str | None, Query(max_length=50)] = None,
) -> list[StoredView]:
    """Pictures and films of one bot or of all, the latest first."""
    handle = None if bot is None else bot.removeprefix("@")
    found = await media.list_all(at, caller, handle, part.after_id, part.limit + 1)
    return [StoredView.model_validate(one) for one in part.shown(found, lambda one: [str(one.id)])]
