"""The endpoints that take media in pieces, tell how far their processing is and describe them."""

import base64
import binascii
from typing import Any, TypeVar

from pydantic import Field, ValidationError
from python_multipart.exceptions import FormParserError

from deployments.x_sandbox.answers import Answer, invalid, ok
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.forms import form_parts
from deployments.x_sandbox.media_store import Media
from deployments.x_sandbox.queries import ID, BadQuery, Query
from deployments.x_sandbox.state import Sandbox
from deployments.x_sandbox.uploads import (
    EXPIRES_SECONDS,
    Beginning,
    Body,
    Refused,
    XId,
    add,
    close,
    opened,
    own,
    progress,
)
from deployments.x_sandbox.uploads import describe as describe_upload

MEDIA_WRITE = frozenset({"media.write"})

Wanted = TypeVar("Wanted", bound=Body)


class AltText(Body):
    """What a picture shows, in words."""

    text: str = Field(max_length=1_000)


class Metadata(Body):
    """The part of an upload's metadata that this X keeps."""

    alt_text: AltText


class Description(Body):
    """Body of a metadata call; schema CreateMediaMetadataRequest."""

    id: XId
    metadata: Metadata


def initialize(sandbox: Sandbox, call: Call) -> Answer:
    """Open an upload."""
    try:
        media = opened(sandbox, call, _read(sandbox, call, Beginning))
    except Refused as refused:
        return refused.answer
    return ok({"data": {"id": media.id, "media_key": media.key, "expires_after_secs": EXPIRES_SECONDS}})


def append(sandbox: Sandbox, call: Call) -> Answer:
    """Take one piece."""
    try:
        media = own(sandbox, call, call.path_id)
        add(sandbox, call, media, *_piece(sandbox, call))
    except Refused as refused:
        return refused.answer
    return ok({"data": {"expires_at": int(media.expires_at)}})


def finalize(sandbox: Sandbox, call: Call) -> Answer:
    """Close an upload."""
    try:
        media = own(sandbox, call, call.path_id)
        close(sandbox, call, media)
    except Refused as refused:
        return refused.answer
    return ok({"data": _progress(sandbox, media, finalizing=True)})


def status(sandbox: Sandbox, call: Call) -> Answer:
    """How far the processing is."""
    query = Query.of(call.query, sandbox.settings.new_names)
    query.names("command", frozenset({"STATUS"}))
    media_id = query.values.get("media_id", "")
    query.known.add("media_id")
    query.in_path("media_id", media_id, ID)
    try:
        query.check()
        media = own(sandbox, call, media_id)
    except (BadQuery, Refused) as refused:
        return refused.answer
    return ok({"data": _progress(sandbox, media, finalizing=False)})


def describe(sandbox: Sandbox, call: Call) -> Answer:
    """Keep the alt text of an upload."""
    try:
        wanted = _read(sandbox, call, Description)
        media = own(sandbox, call, wanted.id)
    except Refused as refused:
        return refused.answer
    text = wanted.metadata.alt_text.text
    describe_upload(sandbox, call, media, text)
    return ok({"data": {"id": media.id, "associated_metadata": {"alt_text": {"text": text}}}})


def _progress(sandbox: Sandbox, media: Media, finalizing: bool) -> dict[str, Any]:
    return {"id": media.id, **progress(sandbox, media, finalizing)}


def _piece(sandbox: Sandbox, call: Call) -> tuple[int, bytes]:
    """Index and bytes of one segment, from either kind of body. Raises Refused."""
    try:
        return _multipart(call) if call.content_type.startswith("multipart/form-data") else _json_piece(call)
    except (ValueError, KeyError, TypeError, binascii.Error, FormParserError):
        wrong = "The body needs media and segment_index, as multipart/form-data or as JSON with media in base64."
        raise Refused(invalid([({}, wrong)], sandbox.settings.new_names)) from None


class _JsonPiece(Body):
    media: str
    segment_index: int


def _json_piece(call: Call) -> tuple[int, bytes]:
    piece = _JsonPiece.model_validate_json(call.body)
    return piece.segment_index, base64.b64decode(piece.media, validate=True)


def _multipart(call: Call) -> tuple[int, bytes]:
    parts = form_parts(call)
    if strange := parts.keys() - {"media", "segment_index"}:
        raise ValueError(strange)
    return int(parts["segment_index"]), parts["media"]


def _read(sandbox: Sandbox, call: Call, wanted: type[Wanted]) -> Wanted:
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


ENDPOINTS = [
    Endpoint("POST /2/media/upload/initialize", initialize, MEDIA_WRITE),
    Endpoint("POST /2/media/upload/{id}/append", append, MEDIA_WRITE),
    Endpoint("POST /2/media/upload/{id}/finalize", finalize, MEDIA_WRITE),
    Endpoint("GET /2/media/upload", status, MEDIA_WRITE),
    Endpoint("POST /2/media/metadata", describe, MEDIA_WRITE),
]
