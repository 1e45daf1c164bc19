"""Keys of outside services (a webhook, a mail server, a language model): taken in, and never shown again."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import SecretStr

from tasks.connections import Connections
from tasks.domain.credentials import service_path
from tasks.domain.roles import Actor
from tasks.operations import activity
from tasks.store import base, credentials


@dataclass(frozen=True)
class Stored:
    """Under which id and version the inventory knows a key."""

    id: UUID
    version: int


async def store(
    at: Connections, name: str, service: str, secret: SecretStr, expires_at: datetime | None, actor: Actor
) -> Stored:
    """Put a key in, or a newer one in its place; what was there stays readable as the version before."""
    data = {"service": service, "secret": secret.get_secret_value()}
    version = await asyncio.to_thread(at.kv.write, service_path(name), data, None)
    async with at.transaction() as session:
        credential_id = await credentials.put(
            session,
            kind="service",
            vault_path=service_path(name),
            version=version,
            issued_at=await base.now(session),
            expires_at=expires_at,
            service=service,
        )
        told = {"service": service, "version": version, "expires_at": expires_at}
        await activity.note(session, actor, "credentials.store", name, "security", after=told)
    return Stored(credential_id, version)
