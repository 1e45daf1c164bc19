"""Personas: the voices that bots speak with."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from deployments.gateway.paging import ByName
from deployments.gateway.sign_in import Opened, needs
from tasks.domain.personas import Persona
from tasks.domain.roles import Actor
from tasks.operations import personas

router = APIRouter(prefix="/personas", tags=["personas"])


class CreatedPersona(BaseModel):
    """The persona stands under this id."""

    id: UUID
    name: str


@router.get("")
async def list_personas(
    caller: Annotated[Actor, needs("personas.read")], at: Opened, part: Annotated[ByName, Depends()]
) -> list[Persona]:
    """Every persona that a bot of the caller's speaks with, by name."""
    found = await personas.list_all(at, caller, part.after, part.limit + 1)
    return list(part.shown(found, lambda persona: persona.name))


@router.post(
    "/create",
    status_code=201,
    responses={
        200: {"description": "It stands already."},
        409: {"description": "One of this name says something else."},
    },
)
async def create(
    persona: Persona, caller: Annotated[Actor, needs("personas.write")], at: Opened, response: Response
) -> CreatedPersona:
    """Make a persona that bots can speak with."""
    persona_id, new = await personas.create(at, persona, caller)
    if not new:
        response.status_code = 200
    return CreatedPersona(id=persona_id, name=persona.name)
