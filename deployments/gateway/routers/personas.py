"""Personas: the voices that bots speak with."""

from typing import Annotated

from fastapi import APIRouter

from deployments.gateway.sign_in import Opened, needs
from tasks.domain.personas import Persona
from tasks.domain.roles import Actor
from tasks.operations import personas

router = APIRouter(prefix="/personas", tags=["personas"])


@router.get("")
async def list_personas(caller: Annotated[Actor, needs("personas.read")], at: Opened) -> list[Persona]:
    """Every persona that a bot of the caller's speaks with, by name."""
    return list(await personas.list_all(at, caller))
