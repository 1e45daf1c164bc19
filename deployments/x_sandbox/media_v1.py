"""Media in version 1.1 of X's API, at upload.twitter.com: for clients that have not learnt version 2, such as tweepy.

X has announced the end of these endpoints. They are described at
https://developer.x.com/en/docs/x-api/v1/media/upload-media/api-reference.
"""

import base64
import json
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError
from python_multipart.exceptions import FormParserError

from deployments.x_sandbox.answers import JSON, Answer, ok
from deployments.x_sandbox.call import Call, Endpoint
from deployments.x_sandbox.forms import form_parts
from deployments.x_sandbox.media import MEDIA_WRITE, AltText
from deployments.x_sandbox.media_store import Media
from deployments.x_sandbox.state import Sandbox
from deployments.x_sandbox.uploads import (
    BEGINNINGS,
    EXPIRES_SECONDS,
    Beginning,
    Body,
    Refused,
    XId,
    add,
    close,
    describe,
    opened,
    own,
    progress,
)

NOTHING = b""
CATEGORIES = {name.replace("_", ""): name for name in ("tweet_image", "tweet_gif", "tweet_video", "amplify_video")}
"""This version takes tweet_image, TWEET_IMAGE and TweetImage for the same."""


class Description(Body):
    """Body of a metadata call; X takes the id as a number too."""

    media_id: XId | int
    alt_text: AltText


class Wrong(Exception):
    """What does not fit in a request."""


def upload(sandbox: Sandbox, call: Call) -> Answer:
    """One command of an upload in pieces, or a picture as a whole where there is none."""
    try:
        given = _given(call)
        command = given.pop("command", b"").decode()
        return _COMMANDS[command](sandbox, call, given)
    except Refused as refused:
        return _error(call, refused.answer.status, refused.answer.problem or "")
    except KeyError as missing:
        return _error(call, 400, f"{missing} is missing or unknown.")
    except Wrong as wrong:
        return _error(call, 400, str(wrong))
    except (ValueError, FormParserError):
        return _error(call, 400, "The form cannot be read.")


def status(sandbox: Sandbox, call: Call) -> Answer:
    """How far the processing of an upload is."""
    given = dict(parse_qsl(call.query.decode("latin-1"), keep_blank_values=True))
    if given.get("command") != "STATUS":
        return _error(call, 400, "command must be STATUS.")
    try:
        return _shown(sandbox, own(sandbox, call, given.get("media_id", "")), 200, finalizing=False)
    except Refused as refused:
        return _error(call, refused.answer.status, refused.answer.problem or "")


def metadata(sandbox: Sandbox, call: Call) -> Answer:
    """Keep the alt text of an upload."""
    try:
        wanted = Description.model_validate_json(call.body)
        describe(sandbox, call, own(sandbox, call, str(wanted.media_id)), wanted.alt_text.text)
    except ValidationError:
        return _error(call, 400, "The body needs media_id and alt_text.text as JSON.")
    except Refused as refused:
        return _error(call, refused.answer.status, refused.answer.problem or "")
    return Answer(200, NOTHING)


def _whole(sandbox: Sandbox, call: Call, given: dict[str, bytes]) -> Answer:
    content = _content(given)
    kinds = [kind for kind, (at, start) in BEGINNINGS.items() if content[at : at + len(start)] == start]
    if not kinds or not kinds[0].startswith("image/"):
        raise Wrong("media type unrecognized.")
    media = opened(sandbox, call, _beginning(given, kinds[0], len(content)))
    add(sandbox, call, media, 0, content)
    close(sandbox, call, media)
    return _shown(sandbox, media, 200, finalizing=True)


def _init(sandbox: Sandbox, call: Call, given: dict[str, bytes]) -> Answer:
    wanted = _beginning(given, given["media_type"].decode(), int(given["total_bytes"]))
    media = opened(sandbox, call, wanted)
    return ok({**_ids(media), "expires_after_secs": EXPIRES_SECONDS}, status=202)


def _append(sandbox: Sandbox, call: Call, given: dict[str, bytes]) -> Answer:
    media = own(sandbox, call, given["media_id"].decode())
    add(sandbox, call, media, int(given["segment_index"]), _content(given))
    return Answer(204, NOTHING)


def _finalize(sandbox: Sandbox, call: Call, given: dict[str, bytes]) -> Answer:
    media = own(sandbox, call, given["media_id"].decode())
    close(sandbox, call, media)
    return _shown(sandbox, media, 201, finalizing=True)


def _given(call: Call) -> dict[str, bytes]:
    """The parameters, wherever they stand."""
    query = parse_qsl(call.query.decode("latin-1"), keep_blank_values=True)
    return {**{name: value.encode() for name, value in query}, **(form_parts(call) if call.body else {})}


def _content(given: dict[str, bytes]) -> bytes:
    return base64.b64decode(given["media_data"], validate=True) if "media_data" in given else given["media"]


def _beginning(given: dict[str, bytes], media_type: str, total_bytes: int) -> Beginning:
    owners = given.get("additional_owners", b"").decode()
    category = given.get("media_category", b"").decode()
    try:
        return Beginning.model_validate(
            {
                "media_type": media_type,
                "total_bytes": total_bytes,
                "media_category": CATEGORIES.get(category.lower().replace("_", ""), category) or None,
                "additional_owners": owners.split(",") if owners else [],
            }
        )
    except ValidationError as error:
        raise Wrong("; ".join(f"{part['loc'][0]}: {part['msg']}" for part in error.errors())) from None


def _shown(sandbox: Sandbox, media: Media, status: int, finalizing: bool) -> Answer:
    return ok({**_ids(media), **progress(sandbox, media, finalizing)}, status=status)


def _ids(media: Media) -> dict[str, Any]:
    return {"media_id": int(media.id), "media_id_string": media.id, "media_key": media.key}


def _error(call: Call, status: int, message: str) -> Answer:
    body = json.dumps({"request": call.path, "error": message}, separators=(",", ":"))
    return Answer(status, body.encode(), JSON, problem=message)


_COMMANDS = {"": _whole, "INIT": _init, "APPEND": _append, "FINALIZE": _finalize}

ENDPOINTS = [
    Endpoint("POST /1.1/media/upload.json", upload, MEDIA_WRITE, oauth2=False),
    Endpoint("GET /1.1/media/upload.json", status, MEDIA_WRITE, oauth2=False),
    Endpoint("POST /1.1/media/metadata/create.json", metadata, MEDIA_WRITE, oauth2=False),
]
