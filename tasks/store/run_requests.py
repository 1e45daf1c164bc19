"""Runs that people asked for: who, what, with which arguments."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Table, Text, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store.base import Id, Instant, Json, app_now, metadata, new_id

run_requests = Table(
    "run_requests",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("deployment", Text, nullable=False),
    Column("arguments", Json, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", Instant, nullable=False, server_default=app_now),
    Column("flow_run_id", Id),
)


async def add(session: AsyncSession, deployment: str, arguments: Mapping[str, Any], requested_by: str) -> UUID:
    """Write one down; the flow run that serves it is noted later."""
    found: UUID = (
        await session.execute(
            insert(run_requests)
            .values(deployment=deployment, arguments=dict(arguments), requested_by=requested_by)
            .returning(run_requests.c.id)
        )
    ).scalar_one()
    return found


async def served(session: AsyncSession, request_id: UUID, flow_run_id: UUID) -> None:
    """Note the flow run that serves a request."""
    await session.execute(update(run_requests).where(run_requests.c.id == request_id).values(flow_run_id=flow_run_id))


async def arguments(session: AsyncSession, request_id: UUID) -> Mapping[str, Any]:
    """What was asked for; nothing where no such request was written down."""
    found = await session.execute(select(run_requests.c.arguments).where(run_requests.c.id == request_id))
    return dict(found.scalar_one_or_none() or {})
