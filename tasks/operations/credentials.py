"""Credentials of bots: reading the ones that posting needs, and the one refresher of tokens."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from blocks.vault.errors import Missing
from blocks.vault.kv import Secret
from tasks.connections import Connections
from tasks.domain.credentials import access_path
from tasks.domain.rotation import SPARE
from tasks.operations import access_tokens as tokens
from tasks.operations import token_refresh
from tasks.operations.access_tokens import AccessToken
from tasks.operations.patience import PASSING, ticks
from tasks.operations.token_refresh import Refreshed
from tasks.store import bots, credentials, restores

# How often a caller looks whether the one who refreshes is through.
LOOK_SECONDS = 0.05


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


def tokens_in_memory(at: Connections, now: datetime) -> Mapping[UUID, AccessToken]:
    """The tokens that this process has read and that still serve, by bot."""
    cache = at.kept(AccessTokens, AccessTokens).by_bot
    return {bot_id: token for bot_id, token in cache.items() if token.expires_at > now + SPARE}


async def access_tokens(
    at: Connections, bot_ids: Iterable[UUID], now: datetime
) -> Mapping[UUID, AccessToken | Unusable]:
    """The token of each bot: from this process's memory while it lasts, else from the vault, side by side.

    The refresher has written a newer one to the vault minutes before that.
    """
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
    token = tokens.read(found)
    if token.expires_at <= now + SPARE:
        # Whether a login is needed is for the refresher to say: after a night that the stack was down, none is.
        return Unusable("the access token has ended and is not refreshed yet", needs_login=False)
    return token


class _Turns(defaultdict[UUID, asyncio.Lock]):
    """One caller of this process at a time, by bot; the others find what it brought."""


async def fresh_token(at: Connections, bot_id: UUID, *, settle: bool = False) -> Refreshed:
    """A bot's access token, refreshed where it falls due: once, whoever else asks at the same moment anywhere.

    `settle` looks under the lease although the vault's token is fresh, because an earlier refresh left something to
    do. Needs the role `keys`. Raises what `PASSING` names where database or vault are away before anything was sent.
    """
    async with at.kept(_Turns, lambda: _Turns(asyncio.Lock))[bot_id]:
        async with at.transaction() as session:
            bot = await bots.get(session, bot_id)
            epoch = await restores.open_one(session)
        if bot is None:
            raise LookupError(f"there is no bot {bot_id}")
        if epoch is not None:
            return await token_refresh.waiting(at, bot, "another stack may use its tokens: `vivesphere db take-over`")
        give_up_at = ticks() + at.places.settings.credentials.lease_seconds
        while True:
            if not settle and (fresh := await token_refresh.fresh(at, bot)) is not None:
                return fresh
            async with at.transaction() as session:
                if not await credentials.can_refresh(session, bot_id):
                    return await token_refresh.without_refresh_token(at, bot)
                lease = await credentials.lease(session, bot_id, at.places.settings.credentials.lease_seconds)
            if lease is not None:
                break
            if ticks() > give_up_at:
                return await token_refresh.waiting(at, bot, "another process is still at it")
            await asyncio.sleep(LOOK_SECONDS)
        try:
            return await token_refresh.under_lease(at, bot, lease)
        finally:
            with suppress(*PASSING):  # it ends by itself
                async with at.transaction() as session:
                    await credentials.release(session, lease)
