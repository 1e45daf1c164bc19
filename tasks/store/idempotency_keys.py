"""Changes that were sent with a key of the sender's own, so that sending them again changes nothing more."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Boolean, Column, LargeBinary, Table, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Instant, app_now, metadata, values

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key_hmac", LargeBinary, primary_key=True),
    Column("request_hmac", LargeBinary, nullable=False),
    Column("claimed_at", Instant, nullable=False, server_default=app_now),
    Column("answered_at", Instant),
    Column("answer", LargeBinary),
)


@dataclass(frozen=True)
class Known:
    """What became of the request that came first; `answer` is sealed, and absent while it is not known.

    `recent`: it came only just now, and may still be at work.
    """

    request_hmac: bytes
    answer: bytes | None
    recent: bool


async def clear(session: AsyncSession, kept: timedelta) -> None:
    """Forget the keys that are older than this."""
    await session.execute(delete(idempotency_keys).where(idempotency_keys.c.claimed_at < app_now - kept))


async def claim(session: AsyncSession, key_hmac: bytes, request_hmac: bytes) -> bool:
    """Take a key for a request; False where it was taken before."""
    found = await session.execute(
        insert(idempotency_keys)
        .values(key_hmac=key_hmac, request_hmac=request_hmac)
        .on_conflict_do_nothing(index_elements=[idempotency_keys.c.key_hmac])
        .returning(idempotency_keys.c.key_hmac)
    )
    return found.one_or_none() is not None


async def get(session: AsyncSession, key_hmac: bytes, at_work: timedelta) -> Known | None:
    """What a key was taken for; `at_work` is how long a request may take."""
    recent = (idempotency_keys.c.claimed_at > app_now - at_work).cast(Boolean).label("recent")
    found = await session.execute(
        select(idempotency_keys.c.request_hmac, idempotency_keys.c.answer, recent).where(
            idempotency_keys.c.key_hmac == key_hmac
        )
    )
    row = found.one_or_none()
    return Known(**values(row)) if row else None


async def answer(session: AsyncSession, key_hmac: bytes, sealed: bytes) -> None:
    """Keep what was answered."""
    await session.execute(
        update(idempotency_keys)
        .where(idempotency_keys.c.key_hmac == key_hmac)
        .values(answer=sealed, answered_at=func.app_now())
    )


async def release(session: AsyncSession, key_hmac: bytes) -> None:
    """Let the key be used again: nothing came of its request."""
    await session.execute(
        delete(idempotency_keys).where(idempotency_keys.c.key_hmac == key_hmac, idempotency_keys.c.answer.is_(None))
    )
