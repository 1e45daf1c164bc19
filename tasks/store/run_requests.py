"""Runs that people asked for: who, what, with which arguments."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Table, Text, func, insert, or_, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY
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
    # For which it was asked; NULL is everything.
    Column("labels", ARRAY(Text)),
)


@dataclass(frozen=True)
class Wanted:
    """What a run was asked for, and the labels within which it may work; None is everything."""

    arguments: Mapping[str, Any]
    labels: frozenset[str] | None


def in_scope(within: Collection[str] | None) -> ColumnElement[bool]:
    """Runs that were asked for within these labels and no others."""
    return true() if within is None else run_requests.c.labels.contained_by(sorted(within))


async def add(
    session: AsyncSession,
    deployment: str,
    arguments: Mapping[str, Any],
    requested_by: str,
    within: Collection[str] | None,
) -> UUID:
    """Write one down; the flow run that serves it is noted later."""
    found: UUID = (
        await session.execute(
            insert(run_requests)
            .values(
                deployment=deployment,
                arguments=dict(arguments),
                requested_by=requested_by,
                labels=None if within is None else sorted(within),
            )
            .returning(run_requests.c.id)
        )
    ).scalar_one()
    return found


async def served(session: AsyncSession, request_id: UUID, flow_run_id: UUID) -> None:
    """Note the flow run that serves a request, unless it is known."""
    await session.execute(
        update(run_requests)
        .where(run_requests.c.id == request_id, run_requests.c.flow_run_id.is_(None))
        .values(flow_run_id=flow_run_id)
    )


async def take(session: AsyncSession, request_id: UUID, flow: str, flow_run_id: UUID) -> Wanted:
    """What a run of `flow` was asked for. A request serves one run, the first that takes it; where this run has none,
    nothing for nobody."""
    found = await session.execute(
        update(run_requests)
        .where(
            run_requests.c.id == request_id,
            func.split_part(run_requests.c.deployment, "/", 1) == flow,
            or_(run_requests.c.flow_run_id.is_(None), run_requests.c.flow_run_id == flow_run_id),
        )
        .values(flow_run_id=flow_run_id)
        .returning(run_requests.c.arguments, run_requests.c.labels)
    )
    row = found.one_or_none()
    if row is None:
        return Wanted({}, frozenset())
    return Wanted(dict(row.arguments), None if row.labels is None else frozenset(row.labels))


async def runs_within(
    session: AsyncSession, within: Collection[str], deployment: str | None, after: UUID | None, limit: int
) -> Sequence[UUID]:
    """Flow runs that were asked for within these labels, the latest first; `after` is one of them."""
    asked = (
        select(run_requests.c.flow_run_id)
        .where(in_scope(within), run_requests.c.flow_run_id.is_not(None))
        # Ids of ours grow with time.
        .order_by(run_requests.c.id.desc())
        .limit(limit)
    )
    if after is not None:
        place = select(run_requests.c.id).where(run_requests.c.flow_run_id == after).scalar_subquery()
        asked = asked.where(run_requests.c.id < place)
    if deployment is not None:
        asked = asked.where(run_requests.c.deployment == deployment)
    return list((await session.execute(asked)).scalars())


async def is_within(session: AsyncSession, flow_run_id: UUID, within: Collection[str]) -> bool:
    """True where a flow run was asked for within these labels."""
    found = await session.execute(
        select(run_requests.c.id).where(run_requests.c.flow_run_id == flow_run_id, in_scope(within))
    )
    return found.first() is not None
