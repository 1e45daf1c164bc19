"""Credentials of bots: where they lie in the vault, and reading the ones that posting needs."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import SecretStr

from blocks.vault.errors import Missing
from blocks.vault.kv import Secret
from tasks.connections import Connections

# A token this close to its end is not used any more: the request could arrive after it.
SPARE = timedelta(seconds=30)


@dataclass(frozen=True)
class AccessToken:
    """What a bot signs its requests to X with."""

    value: SecretStr
    expires_at: datetime


@dataclass(frozen=True)
class Unusable:
    """Why a bot has no token now; `needs_login` where only its owner can help."""

    reason: str
    needs_login: bool


@dataclass
class AccessTokens:
    """The access tokens that this process has read; they live as long as the process."""

    by_bot: dict[UUID, AccessToken] = field(default_factory=dict)

    def forget(self, bot_id: UUID) -> None:
        """Read it anew next time, because X refused it."""
        self.by_bot.pop(bot_id, None)


def access_path(bot_id: UUID) -> str:
    """Where a bot's access token lies in the KV engine."""
    return f"bots/{bot_id}/access"


def refresh_path(bot_id: UUID) -> str:
    """Where a bot's refresh token lies in the KV engine."""
    return f"bots/{bot_id}/refresh"


def client_path(app_id: UUID) -> str:
    """Where an app's client id and secret lie in the KV engine."""
    return f"apps/{app_id}/client"


def tokens_in_memory(at: Connections, now: datetime) -> Mapping[UUID, AccessToken]:
    """The tokens that this process has read and that still serve, by bot."""
    cache = at.kept(AccessTokens, AccessTokens).by_bot
    return {bot_id: token for bot_id, token in cache.items() if token.expires_at > now + SPARE}


async def access_tokens(
    at: Connections, bot_ids: Iterable[UUID], now: datetime
) -> Mapping[UUID, AccessToken | Unusable]:
    """The token of each bot: from this process's memory while it lasts, else from the vault, side by side."""
    cache = at.kept(AccessTokens, AccessTokens).by_bot
    wanted = set(bot_ids)
    stale = wanted - tokens_in_memory(at, now).keys()
    unusable: dict[UUID, AccessToken | Unusable] = {}
    if stale:
        # hvac blocks, and would stop every send that is under way.
        found = await asyncio.to_thread(at.kv.read_many, [access_path(bot_id) for bot_id in stale])
        for bot_id in stale:
            read = _token(found[access_path(bot_id)], now)
            if isinstance(read, AccessToken):
                cache[bot_id] = read
            else:
                unusable[bot_id] = read
    return {bot_id: unusable.get(bot_id) or cache[bot_id] for bot_id in wanted}


def _token(found: Secret | Exception, now: datetime) -> AccessToken | Unusable:
    if isinstance(found, Missing):
        return Unusable("the vault holds no access token of this bot", needs_login=True)
    if not isinstance(found, Secret):
        return Unusable(f"the vault does not give the access token: {found}", needs_login=False)
    token = AccessToken(
        SecretStr(found.data["access_token"]), datetime.fromisoformat(found.data["expires_at"]).astimezone(UTC)
    )
    if token.expires_at <= now + SPARE:
        return Unusable("the access token has expired", needs_login=True)
    return token
