"""Uploads to X: every byte in its piece, every request under its own deadline, and nothing held for done too early."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from email import message_from_bytes
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from blocks.x import media
from blocks.x.errors import NoAnswer, NotSent, Refused, XError
from blocks.x.media import AltText, NewMedia, UploadedMedia
from blocks.x.signing import AppKeys, OAuth1
from blocks.x.wire import CreateMedia, CreatePost
from tests.unit.test_x_client import head_and_body, query_of
from tests.unit.test_x_faults import everything_said_by
from tests.unit.x_peer import Conversation, Peer, Script, a_client, always, answer, once

TOKEN = SecretStr("planted-t0ken/of+bot=a")
CONTENT = bytes(range(256)) * 4 + b"\r\n--not a boundary--\r\n"
VIDEO = NewMedia(media_type="video/mp4", media_category="tweet_video", total_bytes=len(CONTENT))
PENDING = {"state": "pending", "check_after_secs": 0}


def media_of_x(*, looks: list[dict[str, Any]] | None = None, seconds_each: float = 0.0) -> Script:
    """X's media endpoints; `looks` are what finalize and then each status say of the work."""
    infos = iter(looks or [])

    async def script(conversation: Conversation) -> None:
        while True:
            method, target, _ = head_and_body(await conversation.request())[0].split(" ")
            await asyncio.sleep(seconds_each)
            told: dict[str, Any] = {"id": "77", "media_key": "7_77", "expires_after_secs": 86400}
            if target.endswith("/append"):
                told = {"expires_at": 1795000000}
            elif target.endswith("/finalize") or method == "GET":
                info = next(infos, None)
                told |= {"size": len(CONTENT)} | ({"processing_info": info} if info else {})
            await conversation.send(answer(200, {"data": told}))

    return script


def parts_of(request: bytes) -> dict[str, bytes]:
    _, headers, body = head_and_body(request)
    whole = message_from_bytes(b"content-type: " + headers["content-type"].encode() + b"\r\n\r\n" + body)
    names = [(part.get_param("name", header="content-disposition"), part) for part in whole.get_payload()]
    return {str(name): part.get_payload(decode=True) for name, part in names}


def segments_of(peer: Peer) -> list[tuple[bytes, bytes]]:
    appended = [request for request in peer.requests if b"/append HTTP" in request]
    return [(parts["segment_index"], parts["media"]) for parts in map(parts_of, appended)]


async def in_pieces(*sizes: int) -> AsyncIterator[bytes]:
    start = 0
    for size in sizes:
        yield CONTENT[start : start + size]
        start += size


async def test_a_video_goes_up_in_pieces_of_the_size_asked_for() -> None:
    async with Peer(media_of_x(looks=[PENDING])) as peer, a_client(peer.url) as x:
        told = await media.upload(x.caller, TOKEN, VIDEO, CONTENT, segment_bytes=500)
    paths = [head_and_body(request)[0] for request in peer.requests]
    assert paths == [
        "POST /2/media/upload/initialize HTTP/1.1",
        *["POST /2/media/upload/77/append HTTP/1.1"] * 3,
        "POST /2/media/upload/77/finalize HTTP/1.1",
    ]
    assert json.loads(head_and_body(peer.requests[0])[2]) == {
        "media_type": "video/mp4",
        "media_category": "tweet_video",
        "total_bytes": len(CONTENT),
    }
    assert segments_of(peer) == [(b"0", CONTENT[:500]), (b"1", CONTENT[500:1000]), (b"2", CONTENT[1000:])]
    assert Counter(head_and_body(request)[1]["authorization"] for request in peer.requests) == {
        "Bearer planted-t0ken/of+bot=a": 5
    }
    assert (told.data.id, told.data.state, told.data.settled) == ("77", "pending", False)
    assert CreatePost(media=CreateMedia(media_ids=[told.data.id])).media is not None


@pytest.mark.parametrize("sizes", [(len(CONTENT),), (1, 0, 499, 501, len(CONTENT)), (7,) * 150])
async def test_what_comes_from_a_stream_is_cut_anew(sizes: tuple[int, ...]) -> None:
    async with Peer(media_of_x()) as peer, a_client(peer.url) as x:
        told = await media.upload(x.caller, TOKEN, VIDEO, in_pieces(*sizes), segment_bytes=500)
    assert segments_of(peer) == [(b"0", CONTENT[:500]), (b"1", CONTENT[500:1000]), (b"2", CONTENT[1000:])]
    assert told.data.state == "succeeded"


async def test_the_deadline_is_that_of_each_request_and_not_of_the_upload() -> None:
    async with Peer(media_of_x(seconds_each=0.15)) as peer, a_client(peer.url) as x:
        await media.upload(x.caller, TOKEN, VIDEO, CONTENT, segment_bytes=600, deadline_seconds=0.5)
        with pytest.raises(NoAnswer) as caught:
            await media.status(x.caller, TOKEN, "77", deadline_seconds=0.05)
    assert caught.value.problem == "deadline"


@pytest.mark.parametrize(
    ("content", "segment_bytes"), [(CONTENT, 1), (CONTENT, 0), (CONTENT, -5), (CONTENT[:-1], 500), (b"", 500)]
)
async def test_what_cannot_fit_is_not_begun(content: bytes, segment_bytes: int) -> None:
    async with Peer(media_of_x()) as peer, a_client(peer.url) as x:
        with pytest.raises(NotSent) as caught:
            await media.upload(x.caller, TOKEN, VIDEO, content, segment_bytes=segment_bytes)
        assert peer.requests == []
    assert not caught.value.retryable


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"more" * 50


@pytest.mark.parametrize("content", [in_pieces(500, 500), in_pieces(), endless()])
async def test_a_stream_of_another_length_is_never_closed(content: AsyncIterator[bytes]) -> None:
    async with Peer(media_of_x()) as peer, a_client(peer.url) as x:
        with pytest.raises(NotSent) as caught:
            await media.upload(x.caller, TOKEN, VIDEO, content, segment_bytes=500)
    assert not caught.value.retryable
    assert sum(len(segment) for _, segment in segments_of(peer)) <= len(CONTENT)
    assert not any(b"/finalize HTTP" in request for request in peer.requests)


async def test_what_reading_a_stream_raises_comes_through() -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield CONTENT[:600]
        raise OSError("the disk is gone")

    async with Peer(media_of_x()) as peer, a_client(peer.url) as x:
        with pytest.raises(OSError, match="the disk is gone"):
            await media.upload(x.caller, TOKEN, VIDEO, breaks(), segment_bytes=500)
        assert x.lanes_free == 2
    assert len(segments_of(peer)) == 1


async def test_a_refused_piece_ends_the_upload() -> None:
    async def refuses_the_second(conversation: Conversation) -> None:
        for raw in (answer(200, {"data": {"id": "77"}}), answer(200, {}), answer(400, {"detail": "too long"})):
            await conversation.request()
            await conversation.send(raw)
        await conversation.request()

    async with Peer(refuses_the_second) as peer, a_client(peer.url) as x:
        with pytest.raises(Refused):
            await media.upload(x.caller, TOKEN, VIDEO, CONTENT, segment_bytes=300)
    assert len(peer.requests) == 3


async def test_a_piece_with_errors_is_not_there() -> None:
    async with Peer(always(answer(200, {"errors": [{"title": "expired"}]}))) as peer, a_client(peer.url) as x:
        with pytest.raises(Refused):
            await media.append(x.caller, TOKEN, "77", 0, b"a")


async def test_only_the_closing_of_an_upload_is_not_simply_asked_again() -> None:
    alt_text = AltText(id="77", text="a cloud")
    async with Peer(once(b"")) as peer, a_client(peer.url) as x:
        at = x.caller
        for ask, again in (
            (media.initialize(at, TOKEN, VIDEO), True),
            (media.append(at, TOKEN, "77", 0, b"a"), True),
            (media.finalize(at, TOKEN, "77"), False),
            (media.status(at, TOKEN, "77"), True),
            (media.describe(at, TOKEN, alt_text), True),
        ):
            with pytest.raises(NoAnswer) as caught:
                await ask
            assert caught.value.retryable is again


@pytest.mark.parametrize("end", ["succeeded", "failed"])
async def test_x_is_asked_until_it_has_done(end: str) -> None:
    looks = [PENDING, {"state": "in_progress", "progress_percent": 50, "check_after_secs": 0}, {"state": end}]
    async with Peer(media_of_x(looks=looks)) as peer, a_client(peer.url) as x:
        closed = await media.finalize(x.caller, TOKEN, "77")
        done = await media.settle(x.caller, TOKEN, closed.data, within_seconds=5, look_after_seconds_min=0.01)
    assert (done.state, done.settled) == (end, True)
    assert len(peer.requests) == 3
    assert head_and_body(peer.requests[1])[0].startswith("GET /2/media/upload?")
    assert query_of(peer.requests[1]) == {"command": "STATUS", "media_id": "77"}


@pytest.mark.parametrize("info", [{"state": "pending", "check_after_secs": 3600}, {"state": "pending"}, {}])
async def test_x_is_not_asked_for_longer_than_wanted(info: dict[str, Any]) -> None:
    waiting = UploadedMedia.model_validate({"id": "77", "processing_info": info})
    async with Peer(media_of_x()) as peer, a_client(peer.url) as x:
        assert await media.settle(x.caller, TOKEN, waiting, within_seconds=0.5) == waiting
        assert peer.requests == []


async def test_media_that_needs_no_work_is_settled_at_once() -> None:
    done = UploadedMedia(id="77")
    async with Peer(media_of_x()) as peer, a_client(peer.url) as x:
        assert await media.settle(x.caller, TOKEN, done, within_seconds=0) is done
        assert peer.requests == []


async def test_an_image_is_described() -> None:
    async with Peer(media_of_x()) as peer, a_client(peer.url) as x:
        told = await media.describe(x.caller, TOKEN, AltText(id="77", text="Wolken über Köln"))
    assert told.data.id == "77"
    first, _, body = head_and_body(peer.requests[0])
    assert first == "POST /2/media/metadata HTTP/1.1"
    assert json.loads(body) == {"id": "77", "metadata": {"alt_text": {"text": "Wolken über Köln"}}}


async def test_an_upload_can_be_signed() -> None:
    signer = OAuth1(AppKeys("key", SecretStr("planted-a")), SecretStr("planted-b"), SecretStr("planted-c"))
    async with Peer(media_of_x()) as peer, a_client(peer.url) as x:
        await media.upload(x.caller, signer, VIDEO, CONTENT, segment_bytes=len(CONTENT))
    assert all(head_and_body(request)[1]["authorization"].startswith("OAuth ") for request in peer.requests)


@pytest.mark.parametrize(
    "fields",
    [
        {"media_type": "video/mp4", "media_category": "tweet_image"},
        {"media_type": "image/png", "media_category": "tweet_gif"},
        {"media_type": "image/gif", "media_category": "tweet_video"},
        {"media_type": "image/png", "media_category": "dm_image"},
        {"media_type": "text/html", "media_category": "tweet_image"},
        {"media_type": "image/png", "media_category": "tweet_image", "total_bytes": 0},
        {"media_type": "image/png", "media_category": "tweet_image", "shared": True},
    ],
)
def test_what_x_would_not_take_is_refused_here(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NewMedia.model_validate({"total_bytes": 5, **fields})


@pytest.mark.parametrize(
    ("kind", "category"),
    [
        ("image/jpeg", "tweet_image"),
        ("image/gif", "tweet_image"),
        ("image/gif", "tweet_gif"),
        ("video/quicktime", "amplify_video"),
    ],
)
def test_images_gifs_and_videos_have_their_categories(kind: str, category: str) -> None:
    told = {"media_type": kind, "media_category": category, "total_bytes": 5}
    assert json.loads(NewMedia.model_validate(told).model_dump_json()) == told


@pytest.mark.parametrize("fields", [{"text": ""}, {"text": "a" * 1001}, {"text": "\ud800"}, {"id": "x"}])
def test_an_alt_text_has_bounds(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AltText.model_validate({"id": "77", "text": "a cloud", **fields})


@pytest.mark.parametrize("status", [400, 401, 500, 200])
async def test_no_error_of_an_upload_repeats_the_token(status: int) -> None:
    echo = json.dumps({"detail": TOKEN.get_secret_value(), "errors": [{"detail": TOKEN.get_secret_value()}]}).encode()
    async with Peer(always(answer(status, echo))) as peer, a_client(peer.url) as x:
        for ask in (media.append(x.caller, TOKEN, "77", 0, b"a"), media.finalize(x.caller, TOKEN, "77")):
            with pytest.raises(XError) as caught:
                await ask
            assert TOKEN.get_secret_value() not in everything_said_by(caught.value)
