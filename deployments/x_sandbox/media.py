"""The endpoints that take media in pieces, tell how far their processing is and describe them."""

import base64
import binascii
import io
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from python_multipart import parse_form
from python_multipart.exceptions import FormParserError

from deployments.x_sandbox.answers import Answer, invalid, not_found, ok, problem
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.clock import iso
from deployments.x_sandbox.media_store import BYTES_MAX, MEGABYTE, Media
from deployments.x_sandbox.queries import ID, BadQuery, Query
from deployments.x_sandbox.state import Sandbox

MEDIA_WRITE = frozenset({"media.write"})
EXPIRES_SECONDS = 86_400
SEGMENT_BYTES_MAX = 5 * MEGABYTE
SEGMENT_MOST = 999
CHECK_AFTER_SECONDS = 1
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
Body = TypeVar("Body", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Beginning(_Body):
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


class AltText(_Body):
    """What a picture shows, in words."""

    text: str = Field(max_length=1_000)


class Metadata(_Body):
    """The part of an upload's metadata that this X keeps."""

    alt_text: AltText


class Description(_Body):
    """Body of a metadata call; schema CreateMediaMetadataRequest."""

    id: XId
    metadata: Metadata


class Refused(Exception):
    """The call is one that X refuses; `answer` says so."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def initialize(sandbox: Sandbox, call: Call) -> Answer:
    """Open an upload."""
    try:
        wanted = _read(sandbox, call, Beginning)
    except Refused as refused:
        return refused.answer
    if wrong := _misfit(wanted):
        return invalid([({}, wrong)], sandbox.settings.new_names)
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
    media = sandbox.media.by_id[media_id]
    return ok({"data": {"id": media.id, "media_key": media.key, "expires_after_secs": EXPIRES_SECONDS}})


def append(sandbox: Sandbox, call: Call) -> Answer:
    """Take one piece; the same index again replaces it."""
    try:
        media = _own(sandbox, call, call.path_id)
        index, piece = _piece(sandbox, call)
    except Refused as refused:
        return refused.answer
    if media.ready_at is not None:
        return invalid([({}, "The media is finalized already.")], sandbox.settings.new_names)
    if media.size - media.segments.get(index, 0) + len(piece) > media.total_bytes:
        return invalid([({}, "The segments do not add up to the provided total size.")], sandbox.settings.new_names)
    fields: dict[str, Any] = {"segment_index": index, "bytes": len(piece)}
    if index == 0:
        at, beginning = BEGINNINGS[media.media_type]
        fields["genuine"] = piece[at : at + len(beginning)] == beginning
    _write(sandbox, call, "append", media.id, fields)
    return ok({"data": {"expires_at": int(media.expires_at)}})


def finalize(sandbox: Sandbox, call: Call) -> Answer:
    """Close an upload: a picture is ready at once, the rest is processed for a while."""
    try:
        media = _own(sandbox, call, call.path_id)
    except Refused as refused:
        return refused.answer
    whole = media.size == media.total_bytes and sorted(media.segments) == list(range(len(media.segments)))
    if not whole:
        return invalid([({}, "The segments do not add up to the provided total size.")], sandbox.settings.new_names)
    if media.category == "tweet_image" and not media.genuine:
        return invalid([({}, f"The file is not of the type {media.media_type}.")], sandbox.settings.new_names)
    now = sandbox.clock.now()
    if media.ready_at is None:
        takes = 0 if media.category == "tweet_image" else sandbox.settings.media_processing_seconds
        _write(sandbox, call, "finalize", media.id, {"ready_at": iso(now + takes)})
    return ok({"data": _progress(media, sandbox, now, finalizing=True)})


def status(sandbox: Sandbox, call: Call) -> Answer:
    """How far the processing is."""
    query = Query.of(call.query, sandbox.settings.new_names)
    query.names("command", frozenset({"STATUS"}))
    media_id = query.values.get("media_id", "")
    query.known.add("media_id")
    query.in_path("media_id", media_id, ID)
    try:
        query.check()
        media = _own(sandbox, call, media_id)
    except (BadQuery, Refused) as refused:
        return refused.answer
    return ok({"data": _progress(media, sandbox, sandbox.clock.now(), finalizing=False)})


def describe(sandbox: Sandbox, call: Call) -> Answer:
    """Keep the alt text of an upload."""
    try:
        wanted = _read(sandbox, call, Description)
        media = _own(sandbox, call, wanted.id)
    except Refused as refused:
        return refused.answer
    text = wanted.metadata.alt_text.text
    _write(sandbox, call, "metadata", media.id, {"alt_text": text})
    call.bought = ("media_metadata", [])
    return ok({"data": {"id": media.id, "associated_metadata": {"alt_text": {"text": text}}}})


def _misfit(wanted: Beginning) -> str | None:
    kinds = {"tweet_image": "image/", "tweet_gif": "image/gif", "tweet_video": "video/"}
    if not wanted.media_type.startswith(kinds[wanted.category]):
        return f"$.media_type: {wanted.media_type} does not go with {wanted.category}"
    if wanted.total_bytes > (most := BYTES_MAX[wanted.category]):
        return f"$.total_bytes: must have a maximum value of {most}"
    return None


def _progress(media: Media, sandbox: Sandbox, now: float, finalizing: bool) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": media.id,
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


def _own(sandbox: Sandbox, call: Call, media_id: str) -> Media:
    """The caller's upload. Raises Refused."""
    _, account = call.caller
    media = sandbox.media.by_id.get(media_id)
    if media is None or media.expires_at <= sandbox.clock.now():
        raise Refused(not_found(media_id, "id", sandbox.settings.new_names, kind="media"))
    if media.account_id != account.id:
        raise Refused(problem(403, "Forbidden", "You are not authorized to use this media."))
    return media


def _piece(sandbox: Sandbox, call: Call) -> tuple[int, bytes]:
    """Index and bytes of one segment, from either kind of body. Raises Refused."""
    try:
        media, index = _multipart(call) if call.content_type.startswith("multipart/form-data") else _json_piece(call)
    except (ValueError, KeyError, TypeError, binascii.Error, FormParserError):
        wrong = "The body needs media and segment_index, as multipart/form-data or as JSON with media in base64."
        raise Refused(invalid([({}, wrong)], sandbox.settings.new_names)) from None
    if not 0 <= index <= SEGMENT_MOST:
        message = f"$.segment_index: must be between 0 and {SEGMENT_MOST}"
        raise Refused(invalid([({"segment_index": [str(index)]}, message)], sandbox.settings.new_names))
    if not 0 < len(media) <= SEGMENT_BYTES_MAX:
        message = f"$.media: must have 1 to {SEGMENT_BYTES_MAX} bytes"
        raise Refused(invalid([({}, message)], sandbox.settings.new_names))
    return index, media


class _JsonPiece(_Body):
    media: str
    segment_index: int


def _json_piece(call: Call) -> tuple[bytes, int]:
    piece = _JsonPiece.model_validate_json(call.body)
    return base64.b64decode(piece.media, validate=True), piece.segment_index


def _multipart(call: Call) -> tuple[bytes, int]:
    parts: dict[bytes | None, bytes] = {}

    def keep_field(part: Any) -> None:
        parts[part.field_name] = part.value or b""

    def keep_file(part: Any) -> None:
        part.file_object.seek(0)
        parts[part.field_name] = part.file_object.read()

    headers = {"Content-Type": call.content_type.encode("latin-1"), "Content-Length": b"%d" % len(call.body)}
    parse_form(headers, io.BytesIO(call.body), keep_field, keep_file)
    if strange := parts.keys() - {b"media", b"segment_index"}:
        raise ValueError(strange)
    return parts[b"media"], int(parts[b"segment_index"])


def _read(sandbox: Sandbox, call: Call, wanted: type[Body]) -> Body:
    if not call.content_type.startswith("application/json"):
        message = "Requests with bodies must have content-type of application/json."
        raise Refused(invalid([({}, message)], sandbox.settings.new_names))
    try:
        return wanted.model_validate_json(call.body)
    except ValidationError as error:
        messages: list[tuple[dict[str, list[str]], str]] = [
            ({}, f"{'.'.join(['$', *map(str, part['loc'])])}: {part['msg']}") for part in error.errors()
        ]
        raise Refused(invalid(messages, sandbox.settings.new_names)) from None


def _write(sandbox: Sandbox, call: Call, step: str, media_id: str, fields: dict[str, Any]) -> None:
    at = iso(sandbox.clock.now())
    sandbox.record("media", {"step": step, "media_id": media_id, "at": at, **call.trace(), **fields})


ENDPOINTS = [
    Endpoint("POST /2/media/upload/initialize", initialize, MEDIA_WRITE),
    Endpoint("POST /2/media/upload/{id}/append", append, MEDIA_WRITE),
    Endpoint("POST /2/media/upload/{id}/finalize", finalize, MEDIA_WRITE),
    Endpoint("GET /2/media/upload", status, MEDIA_WRITE),
    Endpoint("POST /2/media/metadata", describe, MEDIA_WRITE),
]
