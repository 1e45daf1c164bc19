"""What a bot signs with, as it lies in the vault: an OAuth 2 access token beside its refresh token, or OAuth 1.0a."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.vault.kv import Secret
from blocks.x.signing import AppKeys, Authorization, OAuth1
from tasks.connections import Connections
from tasks.domain.credentials import access_path, refresh_path
from tasks.store import credentials

# OAuth 1.0a credentials have no end; this is later than any instant that is reckoned with.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class AccessToken:
    """What a bot signs its requests to X with."""

    value: Authorization
    expires_at: datetime


def read(found: Secret) -> AccessToken:
    """The token in a secret of `access_path`."""
    data = found.data
    if "access_token_secret" in data:
        app = AppKeys(data["api_key"], SecretStr(data["api_key_secret"]))
        signing = OAuth1(app, SecretStr(data["access_token"]), SecretStr(data["access_token_secret"]))
        return AccessToken(signing, NEVER)
    return AccessToken(SecretStr(data["access_token"]), datetime.fromisoformat(data["expires_at"]).astimezone(UTC))


async def keep(
    at: Connections, bot_id: UUID, token: AccessToken, refresh_token: SecretStr | None, issued_at: datetime
) -> dict[str, int]:
    """Write a new token family to the vault: version by path. The refresh token goes first: by it the refresher sees
    that what it holds itself is old."""
    attempt = secrets.token_hex(16)
    versions = {}
    if refresh_token is not None:
        data = {"refresh_token": refresh_token.get_secret_value(), "attempt_id": attempt}
        versions[refresh_path(bot_id)] = await asyncio.to_thread(at.kv.write, refresh_path(bot_id), data, None)
    data = {
        **_told(token.value),
        "issued_at": issued_at.isoformat(),
        "expires_at": token.expires_at.isoformat(),
        "attempt_id": attempt,
    }
    versions[access_path(bot_id)] = await asyncio.to_thread(at.kv.write, access_path(bot_id), data, None)
    return versions


async def note(
    session: AsyncSession,
    bot_id: UUID,
    versions: Mapping[str, int],
    token: AccessToken,
    issued_at: datetime,
    scopes: Iterable[str] = (),
) -> None:
    """Take what `keep` wrote into the inventory."""
    signs = isinstance(token.value, OAuth1)
    for kind, path, ends_at in (
        ("x_user_oauth1" if signs else "x_user_access", access_path(bot_id), None if signs else token.expires_at),
        ("x_user_refresh", refresh_path(bot_id), None),
    ):
        if path in versions:
            await credentials.put(
                session,
                kind=kind,
                vault_path=path,
                version=versions[path],
                issued_at=issued_at,
                expires_at=ends_at,
                bot_id=bot_id,
                scopes=tuple(sorted(scopes)),
            )


def _told(value: Authorization) -> dict[str, str]:
    if isinstance(value, SecretStr):
        return {"access_token": value.get_secret_value()}
    return {
        "access_token": value.access_token.get_secret_value(),
        "access_token_secret": value.access_token_secret.get_secret_value(),
        "api_key": value.app.api_key,
        "api_key_secret": value.app.api_key_secret.get_secret_value(),
    }
