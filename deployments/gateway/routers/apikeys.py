"""Keys of outside services: taken in, never shown again. Keys that open this API are `keys`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

from deployments.gateway.sign_in import Opened, needs
from tasks.domain.roles import Actor
from tasks.operations import service_keys

router = APIRouter(prefix="/apikeys", tags=["apikeys"])


class ServiceKey(BaseModel):
    """A key as its service gave it out; `name` is what flows ask for it by."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["newsroom-webhook"])]
    service: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$", examples=["webhook"])]
    secret: Annotated[SecretStr, Field(min_length=1, max_length=10_000)]
    expires_at: AwareDatetime | None = None


class StoredKey(BaseModel):
    """Which version of which credential it is now."""

    id: UUID
    version: int


@router.post("/store", status_code=201)
async def store(given: ServiceKey, caller: Annotated[Actor, needs("credentials.write")], at: Opened) -> StoredKey:
    """Put a key into the vault, or a newer one in its place."""
    stored = await service_keys.store(at, given.name, given.service, given.secret, given.expires_at, caller)
    return StoredKey(id=stored.id, version=stored.version)
