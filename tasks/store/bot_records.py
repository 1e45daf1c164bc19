"""Encrypted data of bots: ciphertexts with their wrapped keys, and that a bot's data was forgotten."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    cast,
    column,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, app_now, metadata, new_id, values

bot_records = Table(
    "bot_records",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("bot_id", Id, ForeignKey("bots.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("format", Text, nullable=False),
    Column(
        "wrapped_key",
        Text,
        nullable=False,
        comment="one half of the key, wrapped by the vault; the other half is the bot's own",
    ),
    Column("nonce", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=app_now),
)
bot_forgettings = Table(
    "bot_forgettings",
    metadata,
    Column("bot_id", Id, ForeignKey("bots.id"), primary_key=True),
    Column("records", Integer, nullable=False),
    Column("ciphertext_sha256", LargeBinary, nullable=False, comment="of all ciphertexts in the order of their ids"),
    Column("reason", Text, nullable=False),
    Column("forgotten_by", Text, nullable=False),
    Column("forgotten_at", Instant, nullable=False, server_default=app_now),
)


@dataclass(frozen=True)
class RecordRow:
    """One version of a record, sealed."""

    id: UUID
    bot_id: UUID
    name: str
    version: int
    format: str
    wrapped_key: str
    nonce: bytes
    ciphertext: bytes
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class ForgettingRow:
    """That a bot's data cannot be read any more."""

    records: int
    ciphertext_sha256: bytes
    reason: str
    forgotten_by: str
    forgotten_at: datetime


async def next_version(session: AsyncSession, bot_id: UUID, name: str) -> int:
    """The number of the version that would be stored now."""
    newest = select(func.coalesce(func.max(bot_records.c.version), 0) + 1)
    found = await session.execute(newest.where(bot_records.c.bot_id == bot_id, bot_records.c.name == name))
    return int(found.scalar_one())


async def add(session: AsyncSession, row: Mapping[str, object]) -> None:
    """Insert one version; raises IntegrityError where another one took its number meanwhile."""
    await session.execute(insert(bot_records).values(**row))


async def get(session: AsyncSession, bot_id: UUID, name: str, version: int | None) -> RecordRow | None:
    """One version of a record, or the newest; None where there is none."""
    wanted = select(*bot_records.c).where(bot_records.c.bot_id == bot_id, bot_records.c.name == name)
    if version is not None:
        wanted = wanted.where(bot_records.c.version == version)
    row = (await session.execute(wanted.order_by(bot_records.c.version.desc()).limit(1))).one_or_none()
    return RecordRow(**values(row)) if row else None


async def ciphertexts(session: AsyncSession, bot_id: UUID) -> Sequence[bytes]:
    """Every ciphertext of a bot in the order of the ids, held until the transaction ends."""
    wanted = select(bot_records.c.ciphertext).where(bot_records.c.bot_id == bot_id).order_by(bot_records.c.id)
    return [bytes(row.ciphertext) for row in await session.execute(wanted.with_for_update())]


async def remove(session: AsyncSession, bot_id: UUID) -> None:
    """Delete every record of a bot."""
    await session.execute(delete(bot_records).where(bot_records.c.bot_id == bot_id))


_FORGETTING = [column for column in bot_forgettings.c if column.name != "bot_id"]


async def note_forgetting(
    session: AsyncSession, bot_id: UUID, records: int, ciphertext_sha256: bytes, reason: str, by: str
) -> ForgettingRow:
    """Say that a bot's data was made unreadable."""
    statement = insert(bot_forgettings).values(
        bot_id=bot_id, records=records, ciphertext_sha256=ciphertext_sha256, reason=reason, forgotten_by=by
    )
    return ForgettingRow(**values((await session.execute(statement.returning(*_FORGETTING))).one()))


async def forgetting(session: AsyncSession, bot_id: UUID) -> ForgettingRow | None:
    """That a bot's data was made unreadable; None where it was not."""
    found = await session.execute(select(*_FORGETTING).where(bot_forgettings.c.bot_id == bot_id))
    row = found.one_or_none()
    return ForgettingRow(**values(row)) if row else None


@dataclass(frozen=True)
class WrappedKey:
    """A record's own half of its key as the vault wrapped it; ids as texts, because there may be millions."""

    id: str
    bot_id: str
    wrapped_key: str


# `vault:v12:...`: which version of the vault's key it is wrapped by.
_wrapped_by = cast(func.substr(func.split_part(bot_records.c.wrapped_key, ":", 2), 2), Integer)


async def wrapped_before(session: AsyncSession, version: int, after: UUID | None, limit: int) -> Sequence[WrappedKey]:
    """Keys that an older version of the vault's key wraps, in the order of their ids, from behind `after` on."""
    ids = (cast(bot_records.c.id, Text), cast(bot_records.c.bot_id, Text))
    wanted = select(*ids, bot_records.c.wrapped_key).where(_wrapped_by < version)
    if after is not None:
        wanted = wanted.where(bot_records.c.id > after)
    found = await session.execute(wanted.order_by(bot_records.c.id).limit(limit))
    return [WrappedKey(*row) for row in found]


async def wrap_again(session: AsyncSession, keys: Sequence[WrappedKey], wrapped: Sequence[str]) -> None:
    """Put the new texts in the place of those that were read; a record that has gone or changed meanwhile stays so."""
    new = (
        func.unnest(
            _array(key.id for key in keys),
            _array(key.wrapped_key for key in keys),
            _array(wrapped),
        )
        .table_valued(column("id", Text), column("old", Text), column("new", Text), name="new")
        .render_derived()
    )
    await session.execute(
        update(bot_records)
        .where(bot_records.c.id == cast(new.c.id, Id), bot_records.c.wrapped_key == new.c.old)
        .values(wrapped_key=new.c.new)
    )


def _array(words: Iterable[str]) -> ColumnElement[Any]:
    """Ids and wrapped keys hold no space; of an array the driver looks at each item, which costs more than all else."""
    return func.string_to_array(" ".join(words), " ")
