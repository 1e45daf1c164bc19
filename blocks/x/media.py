"""Media for posts: an upload is opened, filled piece by piece and closed; then X works it up.

None of it is seen by anybody: what no post names expires by itself. So every step may be asked again, save the
closing, after which `status` tells. Source: X API v2, OpenAPI document 2.167, /2/media/upload and /2/media/metadata.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Literal, Self
from urllib.parse import quote

import httpx
from pydantic import Field, model_validator

from blocks.x.answers import Answer, ask
from blocks.x.calls import Call, Caller
from blocks.x.errors import NotSent
from blocks.x.signing import Authorization
from blocks.x.wire import Envelope, Id, Said, Text, Told

SEGMENTS_MAX = 1000


class NewMedia(Told):
    """Body of POST /2/media/upload/initialize: an image, GIF or video for a post; InitializeMediaUploadRequest."""

    media_type: Literal[
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/bmp",
        "image/tiff",
        "image/pjpeg",
        "image/gif",
        "video/mp4",
        "video/webm",
        "video/mp2t",
        "video/quicktime",
    ]
    media_category: Literal["tweet_image", "tweet_gif", "tweet_video", "amplify_video"]
    total_bytes: int = Field(ge=1, le=17_179_869_184)

    @model_validator(mode="after")
    def _is_of_its_category(self) -> Self:
        wanted = {"tweet_image": "image/", "tweet_gif": "image/gif"}.get(self.media_category, "video/")
        if not self.media_type.startswith(wanted):
            raise ValueError(f"{self.media_category} is no category for {self.media_type}")
        return self


class AltText(Told):
    """What an image shows, for those who cannot see it; schema CreateMediaMetadataRequest."""

    id: Id
    text: Text = Field(min_length=1, max_length=1000)


class MediaSession(Said):
    """An upload that has been opened; `id` stays that of the media; schema InitializeMediaUploadResponseData."""

    id: Id
    media_key: str | None = None
    expires_after_secs: int | None = None


class AppendedSegment(Said):
    """Data of the answer to an append, in seconds since 1970; schema AppendMediaUploadResponseData."""

    expires_at: int | None = None


class ProcessingInfo(Said):
    """How far X is: `state` is pending, in_progress, failed or succeeded."""

    state: str | None = None
    check_after_secs: int | None = None
    progress_percent: int | None = None


class UploadedMedia(Said):
    """An upload that has been closed; schema FinalizeMediaUploadResponseData."""

    id: Id
    media_key: str | None = None
    size: int | None = None
    expires_after_secs: int | None = None
    processing_info: ProcessingInfo | None = None

    @property
    def state(self) -> str | None:
        """The state of the work on it; X says nothing of what needs none."""
        return "succeeded" if self.processing_info is None else self.processing_info.state

    @property
    def settled(self) -> bool:
        """Whether X has done with it, well or ill."""
        return self.state in ("succeeded", "failed")


class DescribedMedia(Said):
    """Data of the answer to POST /2/media/metadata; schema CreateMediaMetadataResponseData."""

    id: Id


class _Appended(Envelope[AppendedSegment]):
    """The envelope of an append, where `data` may be missing: the status says it all."""

    def kept(self) -> AppendedSegment | None:
        """When the upload expires, if X said so."""
        return AppendedSegment() if self.data is None and not self.errors else self.data


async def initialize(
    at: Caller, authorization: Authorization, new: NewMedia, *, deadline_seconds: float | None = None
) -> Answer[MediaSession]:
    """Open an upload."""
    call = Call(
        "POST",
        at.url("/2/media/upload/initialize"),
        repeatable=True,
        authorization=authorization,
        content=new.model_dump_json().encode(),
    )
    return await ask(at, call, Envelope[MediaSession], deadline_seconds=deadline_seconds)


async def append(
    at: Caller,
    authorization: Authorization,
    media_id: str,
    segment_index: int,
    segment: bytes,
    *,
    deadline_seconds: float | None = None,
) -> Answer[AppendedSegment]:
    """Send one piece, the first of which has index 0."""
    url = at.url(f"/2/media/upload/{quote(media_id, safe='')}/append")
    form = httpx.Request(
        "POST",
        url,
        data={"segment_index": str(segment_index)},
        files={"media": ("media", segment, "application/octet-stream")},
    )
    call = Call(
        "POST",
        url,
        repeatable=True,
        authorization=authorization,
        content=form.read(),
        content_type=form.headers["content-type"],
    )
    return await ask(at, call, _Appended, deadline_seconds=deadline_seconds)


async def finalize(
    at: Caller, authorization: Authorization, media_id: str, *, deadline_seconds: float | None = None
) -> Answer[UploadedMedia]:
    """Close an upload; after NoAnswer `status` tells whether it was."""
    url = at.url(f"/2/media/upload/{quote(media_id, safe='')}/finalize")
    call = Call("POST", url, repeatable=False, authorization=authorization)
    return await ask(at, call, Envelope[UploadedMedia], deadline_seconds=deadline_seconds)


async def status(
    at: Caller, authorization: Authorization, media_id: str, *, deadline_seconds: float | None = None
) -> Answer[UploadedMedia]:
    """How far X is with an upload that was closed."""
    url = at.url("/2/media/upload", {"command": "STATUS", "media_id": media_id})
    call = Call("GET", url, repeatable=True, authorization=authorization)
    return await ask(at, call, Envelope[UploadedMedia], deadline_seconds=deadline_seconds)


async def describe(
    at: Caller, authorization: Authorization, alt_text: AltText, *, deadline_seconds: float | None = None
) -> Answer[DescribedMedia]:
    """Give an image its alternative text; the last one given stands."""
    told = {"id": alt_text.id, "metadata": {"alt_text": {"text": alt_text.text}}}
    call = Call(
        "POST",
        at.url("/2/media/metadata"),
        repeatable=True,
        authorization=authorization,
        content=json.dumps(told).encode(),
    )
    return await ask(at, call, Envelope[DescribedMedia], deadline_seconds=deadline_seconds)


async def upload(
    at: Caller,
    authorization: Authorization,
    new: NewMedia,
    content: bytes | AsyncIterable[bytes],
    *,
    segment_bytes: int,
    deadline_seconds: float | None = None,
) -> Answer[UploadedMedia]:
    """Open, fill and close an upload, of which no more than a piece is held; `deadline_seconds` spans each request.

    `content` has `total_bytes` in all, cut in any way; content of another length is never closed, and NotSent is
    raised. What reading it raises comes through. Begin anew when this failed: nothing of it is seen by anybody.
    """
    if segment_bytes < 1 or new.total_bytes > segment_bytes * SEGMENTS_MAX:
        raise _malformed("X takes no more pieces than this")
    if isinstance(content, bytes) and len(content) != new.total_bytes:
        raise _malformed("the content is not as long as was said")
    session = await initialize(at, authorization, new, deadline_seconds=deadline_seconds)
    media_id, index, length = session.data.id, 0, 0
    async with aclosing(_segments(content, segment_bytes)) as segments:
        async for segment in segments:
            length += len(segment)
            if length > new.total_bytes:
                raise _malformed("the content is longer than was said")
            await append(at, authorization, media_id, index, segment, deadline_seconds=deadline_seconds)
            index += 1
    if length < new.total_bytes:
        raise _malformed("the content is shorter than was said")
    return await finalize(at, authorization, media_id, deadline_seconds=deadline_seconds)


async def settle(
    at: Caller,
    authorization: Authorization,
    media: UploadedMedia,
    *,
    within_seconds: float,
    look_after_seconds_min: float = 1.0,
    deadline_seconds: float | None = None,
) -> UploadedMedia:
    """Look at closed media as often as X asks for, until it is settled or no look is left `within_seconds`.

    `state` of the answer says which; media that failed is an answer too.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + within_seconds
    while not media.settled:
        asked_for = media.processing_info.check_after_secs if media.processing_info else None
        wait_seconds = max(asked_for or 0, look_after_seconds_min)
        if clock() + wait_seconds > until:
            break
        await asyncio.sleep(wait_seconds)
        media = (await status(at, authorization, media.id, deadline_seconds=deadline_seconds)).data
    return media


def _malformed(detail: str) -> NotSent:
    return NotSent(detail, problem="request-malformed", retryable=False)


async def _segments(content: bytes | AsyncIterable[bytes], segment_bytes: int) -> AsyncGenerator[bytes, None]:
    if isinstance(content, bytes):
        for start in range(0, len(content), segment_bytes):
            yield content[start : start + segment_bytes]
        return
    held = bytearray()
    async for piece in content:
        held += piece
        while len(held) >= segment_bytes:
            yield bytes(held[:segment_bytes])
            del held[:segment_bytes]
    if held:
        yield bytes(held)
