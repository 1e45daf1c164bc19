"""Personas as people look at them; they come in with the bots that speak with them."""

from collections.abc import Sequence

from tasks.connections import Connections
from tasks.domain.personas import Persona
from tasks.domain.roles import Actor
from tasks.store import bots, personas


async def list_all(at: Connections, actor: Actor) -> Sequence[Persona]:
    """Every persona that a bot the actor may see speaks with, by name; all of them where no label bounds him."""
    within = actor.within("personas.read")
    async with at.transaction() as session:
        return await (personas.list_all(session) if within is None else bots.personas_within(session, within))
