"""X's OAuth 2 user tokens: refreshed minutes before they end, each at its own time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from blocks.vault.errors import VaultError
from tasks.connections import Connections
from tasks.domain.rotation import refresh_at
from tasks.operations.credentials import fresh_token
from tasks.operations.patience import PASSING
from tasks.operations.token_refresh import State, WithoutAppError
from tasks.store import base, credentials, refresh_attempts


@dataclass(frozen=True)
class Due:
    """A bot whose token is to be looked at; `settle` because an earlier refresh left something to do."""

    bot_id: UUID
    handle: str
    settle: bool


@dataclass(frozen=True)
class Rotated:
    """What became of one bot's tokens, for pages and logs; no secret is in it."""

    handle: str
    state: State
    said: str
    expires_at: datetime | None


async def due(at: Connections) -> list[Due]:
    """Bots with something left to do, then those whose token falls due, soonest end first."""
    settings = at.places.settings.credentials
    earliest = timedelta(seconds=settings.refresh_earliest_seconds)
    latest = timedelta(seconds=settings.refresh_latest_seconds)
    async with at.transaction() as session:
        now = await base.now(session)
        pending = await refresh_attempts.bots_with_pending(session)
        expiring = await credentials.expiring(session, earliest)
    found = [Due(bot_id, handle, settle=True) for bot_id, handle in pending.items()]
    return found + [
        Due(row.bot_id, row.handle, settle=False)
        for row in expiring
        if row.bot_id not in pending and now >= refresh_at(row.bot_id, row.issued_at, row.expires_at, earliest, latest)
    ]


async def refresh(at: Connections, wanted: Sequence[Due]) -> list[Rotated]:
    """Refresh side by side; one that cannot be refreshed now stops no other."""
    slots = asyncio.Semaphore(at.places.settings.credentials.refreshers)

    async def one(due: Due) -> Rotated:
        async with slots:
            return await _refresh_one(at, due)

    return list(await asyncio.gather(*(one(due) for due in wanted)))


async def _refresh_one(at: Connections, due: Due) -> Rotated:
    try:
        found = await fresh_token(at, due.bot_id, settle=due.settle)
    except WithoutAppError as error:
        return Rotated(due.handle, "waiting", str(error), None)
    except VaultError as error:
        return Rotated(due.handle, "waiting", f"the vault is away: {error}", None)
    except PASSING as error:
        # The driver's words may be many, and name what is nobody's business on a page.
        return Rotated(due.handle, "waiting", f"the database is away ({type(error).__name__})", None)
    expires_at = found.token.expires_at if found.token else None
    return Rotated(found.handle, found.state, found.said, expires_at)
