"""Who did what: appended, never changed."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Table, Text, insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Instant, Json, app_now, metadata

activity_log = Table(
    "activity_log",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Instant, nullable=False, server_default=app_now),
    Column("category", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Json, nullable=False),
)


async def add(
    session: AsyncSession, *, category: str, actor: str, action: str, subject: str, details: Mapping[str, Any]
) -> None:
    """Append one line."""
    await session.execute(
        insert(activity_log).values(
            category=category, actor=actor, action=action, subject=subject, details=dict(details)
        )
    )
