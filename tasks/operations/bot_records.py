"""Encrypted data of bots: stored sealed, given out sealed, opened for a reason, and forgotten for good."""

import asyncio
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from blocks.vault.errors import Conflict, Denied, Missing, Refused
from blocks.vault.transit import Plain, Sealed
from tasks.connections import Connections
from tasks.domain.envelope import KEY_BYTES, NONCE_BYTES, CannotOpenError, Halves, Place, open_, seal
from tasks.domain.roles import Actor, Permission
from tasks.operations import activity
from tasks.operations.bots import NoSuchBotError
from tasks.store import bot_records, bots
from tasks.store.bot_records import ForgettingRow, RecordRow
from tasks.store.bots import BotRow

TRANSIT_KEY = "bot-records"


class NoSuchRecordError(LookupError):
    """The bot has no record of this name and version."""


class ForgottenError(RuntimeError):
    """The bot's data was made unreadable for good."""


class DamagedError(RuntimeError):
    """The record does not open: it was changed, or it was moved here from elsewhere."""


@dataclass(frozen=True)
class Stored:
    """Where a value lies now."""

    bot: str
    name: str
    version: int


@dataclass(frozen=True)
class Revealed:
    """A value as it was stored: JSON, or bytes."""

    name: str
    version: int
    value: Any


def bot_key_path(bot_id: UUID) -> str:
    """Where a bot's half of its keys lies in the KV engine."""
    return f"bots/{bot_id}/record-key"


async def store(at: Connections, handle: str, name: str, value: Any, actor: Actor) -> Stored:
    """Seal a value as the next version of a bot's record.

    `value` is bytes, or anything JSON has. Raises NoSuchBotError and ForgottenError.
    """
    plain = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    async with at.transaction() as session:
        bot = await _readable(session, handle, actor, "botdata.write")
        version = await bot_records.next_version(session, bot.id, name)
    own, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
    of_bot = await asyncio.to_thread(_bot_key, at, bot.id)
    [wrapped] = await asyncio.to_thread(at.transit.encrypt, TRANSIT_KEY, [Plain(str(bot.id), own)])
    sealed = seal(plain, Halves(own, of_bot), nonce, Place(str(bot.id), name, version))
    async with at.transaction() as session:
        # Held, because the bot may be forgotten meanwhile.
        await _readable(session, handle, actor, "botdata.write", lock=True)
        await bot_records.add(
            session,
            {
                "bot_id": bot.id,
                "name": name,
                "version": version,
                "format": "bytes" if isinstance(value, bytes) else "json",
                "wrapped_key": wrapped.text,
                "nonce": nonce,
                "ciphertext": sealed,
                "created_by": actor.name,
            },
        )
        await activity.note(session, actor, "botdata.store", f"{bot.handle}/{name}", bot_id=bot.id, version=version)
    return Stored(bot.handle, name, version)


async def retrieve(at: Connections, handle: str, name: str, version: int | None, actor: Actor) -> RecordRow:
    """A record as it lies here, sealed; raises NoSuchBotError, NoSuchRecordError, ForgottenError."""
    async with at.transaction() as session:
        bot = await _readable(session, handle, actor, "botdata.read")
        found = await bot_records.get(session, bot.id, name, version)
        if found is None:
            raise NoSuchRecordError(name)
        await activity.remark(
            session, actor, "botdata.retrieve", f"{bot.handle}/{name}", "activity", version=found.version
        )
    return found


async def reveal(at: Connections, handle: str, name: str, version: int | None, reason: str, actor: Actor) -> Revealed:
    """Open a record, audited with the reason before it is given out.

    Raises NoSuchBotError, NoSuchRecordError, ForgottenError, and DamagedError.
    """
    async with at.transaction() as session:
        bot = await _readable(session, handle, actor, "botdata.reveal")
        found = await bot_records.get(session, bot.id, name, version)
        if found is None:
            raise NoSuchRecordError(name)
        await activity.note(
            session,
            actor,
            "botdata.reveal",
            f"{bot.handle}/{name}",
            "security",
            bot_id=bot.id,
            version=found.version,
            reason=reason,
        )
    plain = await asyncio.to_thread(_open, at, found)
    return Revealed(name, found.version, plain if found.format == "bytes" else json.loads(plain))


async def forget(at: Connections, handle: str, reason: str, actor: Actor) -> ForgettingRow:
    """Destroy the bot's half of its keys and delete its records; what copies there are stays unreadable.

    The key goes first: a crash in between leaves ciphertexts that nobody can open, and the next call ends it. Raises
    NoSuchBotError; of a bot that was forgotten already, says so again.
    """
    async with at.transaction() as session:
        bot = await _named(session, handle, actor, "bots.forget")
        if bot is None:
            raise NoSuchBotError(handle)
        if (already := await bot_records.forgetting(session, bot.id)) is not None:
            return already
    await asyncio.to_thread(at.kv.delete, bot_key_path(bot.id))
    async with at.transaction() as session:
        await bots.by_handles(session, [bot.handle], lock=True)
        if (already := await bot_records.forgetting(session, bot.id)) is not None:
            return already
        sealed = await bot_records.ciphertexts(session, bot.id)
        digest = hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in sealed)).digest()
        await bot_records.remove(session, bot.id)
        done = await bot_records.note_forgetting(session, bot.id, len(sealed), digest, reason, actor.name)
        await activity.note(
            session,
            actor,
            "botdata.forget",
            bot.handle,
            "security",
            bot_id=bot.id,
            records=len(sealed),
            sha256=digest.hex(),
            reason=reason,
        )
    # A record that was being stored may have made another half; nothing can any more.
    await asyncio.to_thread(at.kv.delete, bot_key_path(bot.id))
    return done


async def _readable(
    session: AsyncSession, handle: str, actor: Actor, permission: Permission, lock: bool = False
) -> BotRow:
    bot = await _named(session, handle, actor, permission, lock)
    if bot is None:
        raise NoSuchBotError(handle)
    if (gone := await bot_records.forgetting(session, bot.id)) is not None:
        when = f"{gone.forgotten_at:%Y-%m-%d %H:%M} UTC"
        raise ForgottenError(f"the data of @{bot.handle} was made unreadable by {gone.forgotten_by}, {when}")
    return bot


async def _named(
    session: AsyncSession, name: str, actor: Actor, permission: Permission, lock: bool = False
) -> BotRow | None:
    """The bot of a handle or an id, within the labels of the actor."""
    handle = name
    with suppress(ValueError):
        by_id = await bots.get(session, UUID(name))
        handle = by_id.handle if by_id else name
    return (await bots.by_handles(session, [handle], actor.within(permission), lock)).get(handle.lower())


def _bot_key(at: Connections, bot_id: UUID) -> bytes:
    """The bot's half; made at the first record. Two makers at once agree on the one that came first."""
    path = bot_key_path(bot_id)
    try:
        return bytes.fromhex(at.kv.read(path).data["key"])
    except Missing:
        fresh = os.urandom(KEY_BYTES)
    try:
        at.kv.write_once(path, {"key": fresh.hex()}, 0, fresh[:8].hex())
    except (Conflict, Denied):
        # The role may make a half and never replace one, so who comes second is refused in either way.
        return bytes.fromhex(at.kv.read(path).data["key"])
    return fresh


def _open(at: Connections, found: RecordRow) -> bytes:
    try:
        [own] = at.transit.decrypt(TRANSIT_KEY, [Sealed(str(found.bot_id), found.wrapped_key)])
    except Refused:
        # Where none of a batch opens, the vault refuses it as a whole.
        own = None
    try:
        of_bot = bytes.fromhex(at.kv.read(bot_key_path(found.bot_id)).data["key"])
    except Missing:
        raise ForgottenError("the bot's half of the key is gone: its data is being forgotten") from None
    if own is None:
        raise DamagedError("the wrapped key does not open in the vault")
    try:
        return open_(
            found.ciphertext, Halves(own, of_bot), found.nonce, Place(str(found.bot_id), found.name, found.version)
        )
    except CannotOpenError:
        raise DamagedError("the record was changed, or belongs elsewhere") from None
