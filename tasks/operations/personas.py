"""Personas as people look at them; they come in with the bots that speak with them."""

from collections.abc import Sequence

from tasks.connections import Connections
from tasks.domain.personas import Persona
from tasks.store import personas


async def list_all(at: Connections) -> Sequence[Persona]:
    """Every persona, by name."""
    async with at.transaction() as session:
        return await personas.list_all(session)
