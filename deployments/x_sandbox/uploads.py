"""The steps of an upload, whichever version of X's API asks for them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from deployments.x_sandbox.answers import Answer, invalid, not_found, problem
from deployments.x_sandbox.call import Call
from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.media_store import BYTES_MAX, MEGABYTE, Media
from deployments.x_sandbox.queries import ID
from deployments.x_sandbox.state import Sandbox

EXPIRES_SECONDS = 86_400
SEGMENT_BYTES_MAX = 5 * MEGABYTE
SEGMENT_MOST = 999
CHECK_AFTER_SECONDS = 1
NOT_WHOLE = "The segments do not add up to the provided total size."
BEGINNINGS: Mapping[str, tuple[int, bytes]] = {
    "image/jpeg": (0, b"\xff\xd8\xff"),
    "image/png": (0, b"\x89PNG\r\n\x1a\n"),
    "image/gif": (0, b"GIF8"),
    "image/webp": (8, b"WEBP"),
    "video/mp4": (4, b"ftyp"),
    "video/quicktime": (4, b"ftyp"),
    "video/webm": (0, b"\x1a\x45\xdf\xa3"),
}
"""Where a file of each type says so."""

XId = Annotated[str, StringConstraints(pattern=f"^{ID.pattern}$")]


class Body(BaseModel):
    """What a call about an upload says; nothing else may stand in it."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Beginning(Body):
    """Body of an initialize; schema InitializeMediaUploadRequest."""

    media_type: Literal[
        "image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "video/quicktime", "video/webm"
    ]
    total_bytes: int = Field(ge=1)
    media_category: Literal["tweet_image", "tweet_gif", "tweet_video", "amplify_video"] | None = None
    shared: bool = False
    additional_owners: list[XId] = []

    @property
    def category(self) -> str:
        """How it will be shown; X goes by the type when nothing is said."""
        said = "tweet_video" if self.media_category == "amplify_video" else self.media_category
        return said or ("tweet_image" if self.media_type.startswith("image/") else "tweet_video")


class Refused(Exception):
    """The call is one that X refuses; `answer` says so."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def opened(sandbox: Sandbox, call: Call, wanted: Beginning) -> Media:
    """Open an upload. Raises Refused."""
    if wrong := _misfit(wanted):
        raise Refused(invalid([({}, wrong)], sandbox.settings.new_names))
    now = sandbox.clock.now()
    media_id = str(sandbox.ids.make(now))
    fields = {
        "additional_owners": wanted.additional_owners,
        "media_type": wanted.media_type,
        "media_category": wanted.category,
        "total_bytes": wanted.total_bytes,
        "expires_at": iso(now + EXPIRES_SECONDS),
    }
    _write(sandbox, call, "initialize", media_id, fields)
    return sandbox.media.by_id[media_id]


def add(sandbox: Sandbox, call: Call, media: Media, index: int, piece: bytes) -> None:
    """Take one piece; the same index again replaces it. Raises Refused."""
    new_names = sandbox.settings.new_names
    if not 0 <= index <= SEGMENT_MOST:
        message = f"$.segment_index: must be between 0 and {SEGMENT_MOST}"
        raise Refused(invalid([({"segment_index": [str(index)]}, message)], new_names))
    if not 0 < len(piece) <= SEGMENT_BYTES_MAX:
        raise Refused(invalid([({}, f"$.media: must have 1 to {SEGMENT_BYTES_MAX} bytes")], new_names))
    if media.ready_at is not None:
        raise Refused(invalid([({}, "The media is finalized already.")], new_names))
    if media.size - media.segments.get(index, 0) + len(piece) > media.total_bytes:
        raise Refused(invalid([({}, NOT_WHOLE)], new_names))
    fields: dict[str, Any] = {"segment_index": index, "bytes": len(piece)}
    if index == 0:
        at, beginning = BEGINNINGS[media.media_type]
        fields["genuine"] = piece[at : at + len(beginning)] == beginning
    _write(sandbox, call, "append", media.id, fields)


def close(sandbox: Sandbox, call: Call, media: Media) -> None:
    """Close an upload: a picture is ready at once, the rest is processed for a while. Raises Refused."""
    whole = media.size == media.total_bytes and sorted(media.segments) == list(range(len(media.segments)))
    if not whole:
        raise Refused(invalid([({}, NOT_WHOLE)], sandbox.settings.new_names))
    if media.category == "tweet_image" and not media.genuine:
        wrong = f"The file is not of the type {media.media_type}."
        raise Refused(invalid([({}, wrong)], sandbox.settings.new_names))
    if media.ready_at is None:
        takes = 0 if media.category == "tweet_image" else sandbox.settings.media_processing_seconds
        _write(sandbox, call, "finalize", media.id, {"ready_at": iso(sandbox.clock.now() + takes)})


def describe(sandbox: Sandbox, call: Call, media: Media, alt_text: str) -> None:
    """Keep what a picture shows, in words."""
    _write(sandbox, call, "metadata", media.id, {"alt_text": alt_text})
    call.bought = ("media_metadata", [])


def own(sandbox: Sandbox, call: Call, media_id: str) -> Media:
    """The caller's upload. Raises Refused."""
    _, account = call.caller
    media = sandbox.media.by_id.get(media_id)
    if media is None or media.expires_at <= sandbox.clock.now():
        raise Refused(not_found(media_id, "id", sandbox.settings.new_names, kind="media"))
    if media.account_id != account.id:
        raise Refused(problem(403, "Forbidden", "You are not authorized to use this media."))
    return media


def progress(sandbox: Sandbox, media: Media, finalizing: bool) -> dict[str, Any]:
    """Size and state of an upload."""
    now = sandbox.clock.now()
    content: dict[str, Any] = {
        "media_key": media.key,
        "size": media.size,
        "expires_after_secs": max(0, int(media.expires_at - now)),
    }
    if media.category == "tweet_image":
        return {**content, "image": {"image_type": media.media_type}}
    content["video"] = {"video_type": media.media_type}
    state = media.state(now)
    if state in ("succeeded", "failed"):
        info: dict[str, Any] = {"state": state, "progress_percent": 100}
    else:
        takes = sandbox.settings.media_processing_seconds
        left = takes if media.ready_at is None else media.ready_at - now
        percent = 0 if media.ready_at is None or not takes else min(99, max(0, round(100 * (1 - left / takes))))
        shown = "pending" if finalizing else state
        info = {"state": shown, "check_after_secs": CHECK_AFTER_SECONDS, "progress_percent": percent}
    return {**content, "processing_info": info}


def _misfit(wanted: Beginning) -> str | None:
    kinds = {"tweet_image": "image/", "tweet_gif": "image/gif", "tweet_video": "video/"}
    if not wanted.media_type.startswith(kinds[wanted.category]):
        return f"$.media_type: {wanted.media_type} does not go with {wanted.category}"
    if wanted.total_bytes > (most := BYTES_MAX[wanted.category]):
        return f"$.total_bytes: must have a maximum value of {most}"
    return None


def _write(sandbox: Sandbox, call: Call, step: str, media_id: str, fields: dict[str, Any]) -> None:
    at = iso(sandbox.clock.now())
    sandbox.record("media", {"step": step, "media_id": media_id, "at": at, **call.trace(), **fields})
