"""Personas as people handle them; most come in with the bots that speak with them."""

from collections.abc import Sequence
from uuid import UUID

from tasks.connections import Connections
from tasks.domain.personas import Persona
from tasks.domain.roles import Actor
from tasks.operations import activity
from tasks.store import bots, personas


class PersonaTakenError(RuntimeError):
    """There is a persona of this name, and it says something else."""


async def create(at: Connections, persona: Persona, actor: Actor) -> tuple[UUID, bool]:
    """Its id, and whether it is new; one that says the very same stands already. Raises PersonaTakenError."""
    async with at.transaction() as session:
        added = await personas.add(session, persona)
        if added is not None:
            told = {"name": persona.name, "languages": list(persona.languages)}
            await activity.note(session, actor, "personas.create", persona.name, after=told)
            return added, True
        persona_id, standing = await personas.get(session, persona.name)
    if standing != persona:
        raise PersonaTakenError(f"there is a persona '{persona.name}' already, and it says something else")
    return persona_id, False


async def list_all(
    at: Connections, actor: Actor, after: str | None = None, limit: int | None = None
) -> Sequence[Persona]:
    """Personas that a bot the actor may see speaks with, by name; all of them where no label bounds him."""
    within = actor.within("personas.read")
    async with at.transaction() as session:
        return await bots.personas_within(session, within, after, limit)
