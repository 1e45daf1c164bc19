"""The API key of the command line on this machine: the next one lies beside it until it has opened the door once.

Keys of other programs are their owners' to change, because a key is shown once, to its owner: `vivesphere keys rotate`
makes the next one, and the one before stays good for the same grace.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import httpx

from config.settings import ApiKeys as ApiKeysSettings
from config.settings import Rotation as RotationSettings
from tasks.connections import Connections
from tasks.operations.rotation.kind import Facts, NotYet, Subject, TestFailedError
from tasks.store import api_keys
from tasks.store.rotations import Version

# It looks at its own keys, which every key may.
PROBE = "/api/v1/keys"


class ApiKeys:
    """The recipe's steps for the one key that the stack itself uses."""

    name = "api_keys"

    def rules(self, settings: RotationSettings) -> ApiKeysSettings:
        """Its section of the settings."""
        return settings.api_keys

    async def subjects(self, at: Connections) -> Sequence[Subject]:
        """The command line's own key, where it lies on this machine and is in force."""
        key_id = _key_id(at.places.cli_key)
        if key_id is None or at.places.settings.gateway.key_file is not None:
            return []
        async with at.transaction() as session:
            found = await api_keys.get(session, key_id)
        if found is None:
            return []
        return [Subject("cli", found.created_at, "`vivesphere` on this machine", {"key_id": str(key_id)})]

    async def create(self, at: Connections, version: Version) -> Facts:
        """A key like the one in use, in a file beside it; the row has the version's id, so a second try is the same."""
        secret = secrets.token_urlsafe(32)
        old = _key_id(at.places.cli_key)
        await asyncio.to_thread(_write, _next(at), f"{version.id}:{secret}")
        async with at.transaction() as session:
            await api_keys.put_beside(session, version.id, old, hashlib.sha256(secret.encode()).digest())
        return {"key_id": str(version.id)}

    async def set(self, at: Connections, version: Version) -> None:
        """Nothing: a key is good from the moment it is noted."""

    async def test(self, at: Connections, version: Version) -> None:
        """Open the gateway's door with it."""
        key = _next(at).read_text(encoding="utf-8").strip()
        try:
            async with httpx.AsyncClient(verify=at.places.gateway_trust(), trust_env=False) as client:
                answer = await client.get(f"{at.places.gateway}{PROBE}", headers={"Authorization": f"Bearer {key}"})
        except httpx.HTTPError as error:
            raise NotYet(f"the gateway does not answer ({type(error).__name__})") from None
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise TestFailedError("the gateway does not take the new key")
        if not answer.is_success:
            raise NotYet(f"the gateway answers {answer.status_code}")

    async def finish(self, at: Connections, version: Version) -> None:
        """Put the file in the place of the one in use; the key before stays good for its grace."""
        if _key_id(at.places.cli_key) != version.id:
            await asyncio.to_thread(os.replace, _next(at), at.places.cli_key)

    async def remove(self, at: Connections, version: Version) -> None:
        """Revoke it; of one that was given up nothing stays, and the one in use is nobody's predecessor any more."""
        async with at.transaction() as session:
            await api_keys.revoke(session, UUID(version.facts.get("key_id", str(version.id))))
            if version.state != "previous" and (used := _key_id(at.places.cli_key)) is not None:
                await api_keys.take_its_place_again(session, used)
        if version.state != "previous":
            await asyncio.to_thread(_next(at).unlink, missing_ok=True)


def _next(at: Connections) -> Path:
    return at.places.cli_key.with_name(f"{at.places.cli_key.name}.next")


def _key_id(file: Path) -> UUID | None:
    try:
        return UUID(file.read_text(encoding="utf-8").partition(":")[0].strip())
    except (FileNotFoundError, ValueError):
        return None


def _write(file: Path, content: str) -> None:
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(content, encoding="utf-8")
