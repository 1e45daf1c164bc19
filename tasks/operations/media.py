"""Pictures and films: taken in once, and laid at X ahead of each post that shows them."""

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO
from uuid import UUID

from pydantic import ValidationError

from blocks.x import media as x_media
from blocks.x.errors import XError
from blocks.x.media import AltText, NewMedia, UploadedMedia
from tasks.connections import Connections
from tasks.domain.media import ALT_TEXT_CHARACTERS_MAX, HEAD_BYTES, MediaError, UploadedKey, check_size, kind_of
from tasks.domain.roles import Actor
from tasks.operations import activity, breakers
from tasks.operations.access_tokens import AccessToken
from tasks.operations.bots import NoSuchBotError
from tasks.operations.credentials import access_tokens
from tasks.operations.patience import PASSING
from tasks.store import base, bots, media, posts
from tasks.store.media import MediaAsset, NeededUpload, StoredAsset

log = logging.getLogger("vivesphere.debug")

CHUNK_BYTES = 1024 * 1024
# A file up to this size is taken in without touching the disk.
IN_MEMORY_BYTES = 8 * 1024 * 1024
BATCH = 8
# X says how long an upload lives; where it does not, a day (docs.x.com, media upload).
LIVES_SECONDS = 86_400


@dataclass(frozen=True)
class Uploaded:
    """What became of one upload; `problem` is None where the media lies at X."""

    post_id: UUID
    handle: str
    place: int
    planned_at: datetime
    problem: str | None


async def store(
    at: Connections, handle: str, file_name: str, content: AsyncIterable[bytes], alt_text: str | None, actor: Actor
) -> MediaAsset:
    """Take a file in for a bot; the same bytes with the same alternative text are kept once.

    Raises MediaError for what X would not take, and NoSuchBotError.
    """
    if alt_text is not None and len(alt_text) > ALT_TEXT_CHARACTERS_MAX:
        raise MediaError(f"the alternative text has {len(alt_text)} characters, X takes {ALT_TEXT_CHARACTERS_MAX}")
    async with at.transaction() as session:
        bot = (await bots.by_handles(session, [handle], actor.within("posts.schedule"))).get(handle.lower())
        [asset_id] = await posts.new_ids(session, 1)
    if bot is None:
        raise NoSuchBotError(handle)
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as spool:
        digest, total_bytes = await _spool(content, spool)
        spool.seek(0)
        kind = kind_of(spool.read(HEAD_BYTES))
        check_size(kind, total_bytes)
        spool.seek(0)
        async with at.transaction() as session:
            new = await media.add(
                session,
                asset_id,
                bot.id,
                file_name=file_name,
                kind=kind,
                total_bytes=total_bytes,
                sha256=digest,
                alt_text=alt_text or None,
                created_by=actor.name,
            )
            if new:
                place = 0
                while piece := spool.read(CHUNK_BYTES):
                    await media.add_chunk(session, asset_id, place, piece)
                    place += 1
                await activity.note(
                    session, actor, "media.store", str(asset_id), bot_id=bot.id, bot=bot.handle, bytes=total_bytes
                )
            return await media.same(session, bot.id, digest, alt_text or None)


async def list_all(
    at: Connections, actor: Actor, handle: str | None, after: UUID | None, limit: int
) -> Sequence[StoredAsset]:
    """Files of one bot, or of all that the actor may see, the latest first; `after` is the id of one."""
    within = actor.within("posts.read")
    async with at.transaction() as session:
        return await media.list_all(session, within, handle=handle, after=after, limit=limit)


async def _spool(content: AsyncIterable[bytes], spool: IO[bytes]) -> tuple[bytes, int]:
    digest, total_bytes, head = hashlib.sha256(), 0, b""
    async for piece in content:
        digest.update(piece)
        total_bytes += len(piece)
        spool.write(piece)
        head = head if len(head) >= HEAD_BYTES else head + piece
        if len(head) >= HEAD_BYTES:
            # As soon as it is known to be too large or nothing that X takes, the rest is not waited for.
            check_size(kind_of(head[:HEAD_BYTES]), total_bytes)
    if total_bytes == 0:
        raise MediaError("the file is empty")
    return digest.digest(), total_bytes


async def needed(at: Connections) -> Sequence[NeededUpload]:
    """Begin the uploads that posts need in the next while, each under a lease that a dead process leaves to others."""
    wanted = at.places.settings.media
    async with at.transaction() as session:
        return await media.take_needed(
            session,
            ahead=timedelta(seconds=wanted.ahead_seconds),
            fresh=timedelta(seconds=wanted.fresh_seconds),
            lease=timedelta(seconds=wanted.lease_seconds),
            limit=BATCH,
        )


async def upload(at: Connections, wanted: Sequence[NeededUpload]) -> list[Uploaded]:
    """Lay media at X, some at a time; one that fails says why on its post, and is tried again after a while."""
    slots = asyncio.Semaphore(at.places.settings.media.uploaders)
    async with at.transaction() as session:
        now = await base.now(session)
    tokens = await access_tokens(at, {one.bot_id for one in wanted}, now)

    async def one(needed: NeededUpload) -> Uploaded:
        token = tokens[needed.bot_id]
        async with slots:
            problem = await _lay(at, needed, token) if isinstance(token, AccessToken) else token.reason
        if problem is not None:
            await _note_failure(at, needed, problem)
        return Uploaded(needed.post_id, needed.handle, needed.place, needed.planned_at, problem)

    return list(await asyncio.gather(*(one(each) for each in wanted)))


async def keep_uploading(
    at: Connections, ended: asyncio.Event, work: Callable[[Sequence[NeededUpload]], Awaitable[object]]
) -> None:
    """Look for media that posts will need, and hand it to `work`, until `ended`; what was begun is finished."""
    while not ended.is_set():
        try:
            found = await needed(at)
        except PASSING as error:
            log.warning("nothing was uploaded: %s", error)
            found = ()
        if found:
            await work(found)
            continue
        try:
            await asyncio.wait_for(ended.wait(), at.places.settings.media.look_seconds)
        except TimeoutError:
            continue


async def _lay(at: Connections, needed: NeededUpload, token: AccessToken) -> str | None:
    """Upload and wait until X has worked it up; answers what went wrong."""
    wanted = at.places.settings.media
    try:
        new = NewMedia.model_validate(
            {
                "media_type": needed.media_type,
                "media_category": needed.category,
                "total_bytes": needed.total_bytes,
            }
        )
        answer = await x_media.upload(
            at.x.caller, token.value, new, _pieces(at, needed.asset_id), segment_bytes=wanted.segment_bytes
        )
        laid = await x_media.settle(at.x.caller, token.value, answer.data, within_seconds=wanted.processing_seconds)
        if laid.state != "succeeded":
            return f"X has not worked it up: {laid.state}"
        if needed.alt_text:
            await x_media.describe(at.x.caller, token.value, AltText(id=laid.id, text=needed.alt_text))
    except XError as error:
        await breakers.heed_read(at, needed.bot_id, error)
        return ": ".join(part for part in (error.problem, error.detail) if part) or type(error).__name__
    except (ValidationError, *PASSING) as error:
        return f"it could not be read: {type(error).__name__}"
    async with at.transaction() as session:
        await media.lies_at_x(session, needed.upload_id, _key(laid, answer.data), _lives(answer.data))
    return None


def _key(laid: UploadedMedia, closed: UploadedMedia) -> UploadedKey:
    return UploadedKey(laid.id, laid.media_key or closed.media_key)


def _lives(closed: UploadedMedia) -> timedelta:
    return timedelta(seconds=closed.expires_after_secs or LIVES_SECONDS)


async def _note_failure(at: Connections, needed: NeededUpload, problem: str) -> None:
    pause = timedelta(seconds=at.places.settings.media.retry_seconds)
    async with at.transaction() as session:
        await media.failed(session, needed, problem, pause)


async def _pieces(at: Connections, asset_id: UUID) -> AsyncGenerator[bytes, None]:
    place = 0
    while True:
        async with at.transaction() as session:
            piece = await media.chunk(session, asset_id, place)
        if piece is None:
            return
        yield piece
        place += 1
