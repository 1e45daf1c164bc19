"""Bots: accounts on X that speak for an operator."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    Integer,
    Table,
    Text,
    cast,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.personas import Persona
from tasks.store.base import Id, Instant, Json, app_now, metadata, new_id, values
from tasks.store.personas import personas

bots = Table(
    "bots",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("owner_id", Id, ForeignKey("users.id"), nullable=False),
    Column("handle", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("x_user_id", Text, unique=True),
    Column("persona_id", Id, ForeignKey("personas.id"), nullable=False),
    Column("x_app_id", Id, ForeignKey("x_apps.id")),
    Column("state", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("posts_per_day_max", Integer, nullable=False),
    Column("labels", ARRAY(Text), nullable=False, server_default="{}"),
    Column("operator_handle", Text, nullable=False),
    Column(
        "facts",
        Json,
        nullable=False,
        server_default="{}",
        comment="what the templates of its persona say of this bot and of no other",
    ),
    Column("label_confirmed_at", Instant),
    Column("label_confirmed_by", Text),
    Column("bio_checked_at", Instant),
    Column("bio_names_operator", Boolean, nullable=False, server_default="false"),
    Column("adopting", Boolean, nullable=False, server_default="false"),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("updated_at", Instant, nullable=False, server_default=app_now),
)


@dataclass(frozen=True)
class BotRow:
    """A bot as it stands; `adopting`: its tokens came from elsewhere, and a first refresh will tell whose they are."""

    id: UUID
    handle: str
    display_name: str
    description: str
    x_user_id: str | None
    x_app_id: UUID | None
    persona: str
    state: str
    time_zone: str
    posts_per_day_max: int
    labels: Sequence[str]
    operator_handle: str
    facts: Mapping[str, Any]
    label_confirmed_at: datetime | None
    label_confirmed_by: str | None
    bio_checked_at: datetime | None
    bio_names_operator: bool
    adopting: bool
    revision: int


_COLUMNS = (
    bots.c.id,
    bots.c.handle,
    bots.c.display_name,
    bots.c.description,
    bots.c.x_user_id,
    bots.c.x_app_id,
    personas.c.name.label("persona"),
    bots.c.state,
    bots.c.time_zone,
    bots.c.posts_per_day_max,
    bots.c.labels,
    bots.c.operator_handle,
    bots.c.facts,
    bots.c.label_confirmed_at,
    bots.c.label_confirmed_by,
    bots.c.bio_checked_at,
    bots.c.bio_names_operator,
    bots.c.adopting,
    bots.c.revision,
)
_SELECTED = select(*_COLUMNS).join_from(bots, personas)


def in_scope(within: Collection[str] | None) -> ColumnElement[bool]:
    """Bots that bear one of these labels: the condition by which every statement for a scoped actor is bounded.

    None is everything, no label is nothing.
    """
    if within is None:
        return true()
    return bots.c.labels.op("&&", return_type=Boolean())(cast(sorted(within), ARRAY(Text)))


async def add(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> list[UUID]:
    """Insert new bots; each starts as needs_login. Answers their ids, in no order."""
    if not rows:
        return []
    new = [{**row, "state": "needs_login"} for row in rows]
    return [row.id for row in await session.execute(insert(bots).returning(bots.c.id), new)]


async def change(session: AsyncSession, bot_id: UUID, **changed: Any) -> None:
    """Change fields of one bot; its revision goes up."""
    await session.execute(
        update(bots).where(bots.c.id == bot_id).values(**changed, revision=bots.c.revision + 1, updated_at=app_now)
    )


async def by_handles(
    session: AsyncSession, handles: Sequence[str], within: Collection[str] | None = None, lock: bool = False
) -> dict[str, BotRow]:
    """Bots by lower-case handle, of those within labels; with `lock` their rows are held until the transaction ends."""
    named = func.lower(bots.c.handle).in_([handle.lower() for handle in handles])
    wanted = _SELECTED.where(named, in_scope(within)).order_by(bots.c.id)
    if lock:
        wanted = wanted.with_for_update(of=bots)
    return {row.handle.lower(): BotRow(**values(row)) for row in await session.execute(wanted)}


async def get(session: AsyncSession, bot_id: UUID) -> BotRow | None:
    """One bot, or None."""
    row = (await session.execute(_SELECTED.where(bots.c.id == bot_id))).one_or_none()
    return BotRow(**values(row)) if row else None


async def list_all(
    session: AsyncSession,
    state: str | None = None,
    label: str | None = None,
    within: Collection[str] | None = None,
    owner_id: UUID | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> Sequence[BotRow]:
    """Bots by handle, of those within labels, filtered by state, label and owner; `after` is a handle."""
    wanted = _SELECTED.where(in_scope(within)).order_by(func.lower(bots.c.handle)).limit(limit)
    if owner_id:
        wanted = wanted.where(bots.c.owner_id == owner_id)
    if after:
        wanted = wanted.where(func.lower(bots.c.handle) > after.lower())
    if state:
        wanted = wanted.where(bots.c.state == state)
    if label:
        wanted = wanted.where(bots.c.labels.any(label))
    return [BotRow(**values(row)) for row in await session.execute(wanted)]


async def adopting(session: AsyncSession) -> dict[UUID, str]:
    """Handles of bots whose tokens wait for their first refresh."""
    found = await session.execute(select(bots.c.id, bots.c.handle).where(bots.c.adopting).order_by(bots.c.id))
    return {row.id: row.handle for row in found}


async def lose_login(session: AsyncSession, bot_ids: Sequence[UUID]) -> Sequence[str]:
    """Active bots whose tokens X refused become needs_login; answers the handles that changed."""
    found = await session.execute(
        update(bots)
        .where(bots.c.id.in_(bot_ids), bots.c.state == "active")
        .values(state="needs_login", revision=bots.c.revision + 1, updated_at=app_now)
        .returning(bots.c.handle)
    )
    return [row.handle for row in found]


async def suspend(session: AsyncSession, bot_id: UUID) -> bool:
    """An active bot whose account X has suspended or locked becomes suspended; False where it is not active."""
    return await _move(session, bot_id, "active", "suspended")


async def restore(session: AsyncSession, bot_id: UUID) -> bool:
    """A suspended bot becomes active; False where it is not suspended."""
    return await _move(session, bot_id, "suspended", "active")


async def _move(session: AsyncSession, bot_id: UUID, before: str, after: str) -> bool:
    found = await session.execute(
        update(bots)
        .where(bots.c.id == bot_id, bots.c.state == before)
        .values(state=after, revision=bots.c.revision + 1, updated_at=app_now)
        .returning(bots.c.id)
    )
    return found.first() is not None


async def count_by_app(session: AsyncSession) -> dict[UUID | None, int]:
    """How many bots sign in through each app; those that have left are not counted."""
    found = await session.execute(
        select(bots.c.x_app_id, func.count()).where(bots.c.state != "retired").group_by(bots.c.x_app_id)
    )
    return {row[0]: row[1] for row in found}


async def personas_within(
    session: AsyncSession, within: Collection[str] | None, after: str | None = None, limit: int | None = None
) -> Sequence[Persona]:
    """Personas that a bot within labels speaks with, by name; without labels all of them. `after` is a name."""
    wanted = select(personas.c.definition).order_by(personas.c.name).limit(limit)
    if within is not None:
        wanted = wanted.where(personas.c.id.in_(select(bots.c.persona_id).where(in_scope(within))))
    if after is not None:
        wanted = wanted.where(personas.c.name > after)
    found = await session.execute(wanted)
    return [Persona.model_validate(row.definition) for row in found]


async def personas_beyond(session: AsyncSession, names: Collection[str], within: Collection[str]) -> set[str]:
    """Those of these personas that are not for bots within labels alone: another's bot speaks with them, or none."""
    ours = select(bots.c.persona_id).where(in_scope(within))
    others = select(bots.c.persona_id).where(~in_scope(within))
    found = await session.execute(
        select(personas.c.name).where(
            personas.c.name.in_(names), or_(personas.c.id.in_(others), personas.c.id.not_in(ours))
        )
    )
    return {row.name for row in found}


async def handles_of_owner(session: AsyncSession, owner_id: UUID) -> Sequence[str]:
    """Handles of the bots that a user owns."""
    found = await session.execute(select(bots.c.handle).where(bots.c.owner_id == owner_id).order_by(bots.c.handle))
    return [row.handle for row in found]
