"""Personas: the voices bots speak with."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Column, Integer, Table, Text, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.personas import Persona
from tasks.store.base import Id, Instant, Json, app_now, metadata, new_id

personas = Table(
    "personas",
    metadata,
    Column("id", Id, primary_key=True, server_default=new_id),
    Column("name", Text, nullable=False, unique=True),
    Column("definition", Json, nullable=False),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("created_at", Instant, nullable=False, server_default=app_now),
    Column("updated_at", Instant, nullable=False, server_default=app_now),
)


async def put(session: AsyncSession, wanted: Sequence[Persona]) -> Mapping[str, UUID]:
    """Insert or change by name; one that says the same stays at its revision. Answers the id of each name."""
    if not wanted:
        return {}
    rows = [{"name": persona.name, "definition": persona.model_dump(mode="json")} for persona in wanted]
    statement = insert(personas).values(rows)
    changed = statement.on_conflict_do_update(
        index_elements=[personas.c.name],
        set_={
            "definition": statement.excluded.definition,
            "revision": personas.c.revision + 1,
            "updated_at": app_now,
        },
        where=personas.c.definition.is_distinct_from(statement.excluded.definition),
    )
    await session.execute(changed)
    names = [persona.name for persona in wanted]
    found = await session.execute(select(personas.c.name, personas.c.id).where(personas.c.name.in_(names)))
    return {row.name: row.id for row in found}


async def add(session: AsyncSession, persona: Persona) -> UUID | None:
    """Insert one; None where its name is taken."""
    row = {"name": persona.name, "definition": persona.model_dump(mode="json")}
    found = await session.execute(
        insert(personas).values(row).on_conflict_do_nothing(index_elements=[personas.c.name]).returning(personas.c.id)
    )
    return found.scalar_one_or_none()


async def get(session: AsyncSession, name: str) -> tuple[UUID, Persona]:
    """Id and words of one that there is."""
    row = (await session.execute(select(personas.c.id, personas.c.definition).where(personas.c.name == name))).one()
    return row.id, Persona.model_validate(row.definition)


async def by_names(session: AsyncSession, names: Collection[str]) -> Mapping[str, Persona]:
    """Personas by their names."""
    found = await session.execute(select(personas.c.name, personas.c.definition).where(personas.c.name.in_(names)))
    return {row.name: Persona.model_validate(row.definition) for row in found}


async def list_all(session: AsyncSession) -> Sequence[Persona]:
    """Every persona, by name."""
    found = await session.execute(select(personas.c.definition).order_by(func.lower(personas.c.name)))
    return [Persona.model_validate(row.definition) for row in found]
