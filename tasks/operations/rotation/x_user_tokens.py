"""X's OAuth 2 user tokens: refreshed minutes before they end, each at its own time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from blocks.vault.errors import VaultError
from tasks.connections import Connections
from tasks.domain.rotation import refresh_at
from tasks.operations import adoption
from tasks.operations.credentials import fresh_token
from tasks.operations.patience import PASSING
from tasks.operations.token_refresh import State, WithoutAppError
from tasks.store import base, bots, credentials, refresh_attempts


@dataclass(frozen=True)
class Due:
    """A bot whose token is to be looked at.

    `settle`: an earlier refresh left something to do. `adopting`: its tokens came from elsewhere, and their first
    refresh tells whose they are.
    """

    bot_id: UUID
    handle: str
    settle: bool
    adopting: bool = False


@dataclass(frozen=True)
class Rotated:
    """What became of one bot's tokens, for pages and logs; no secret is in it."""

    handle: str
    state: State
    said: str
    expires_at: datetime | None


async def due(at: Connections) -> list[Due]:
    """Bots with something left to do, then those that wait to be taken in, then those whose token falls due, soonest
    end first."""
    settings = at.places.settings.credentials
    earliest = timedelta(seconds=settings.refresh_earliest_seconds)
    latest = timedelta(seconds=settings.refresh_latest_seconds)
    async with at.transaction() as session:
        now = await base.now(session)
        pending = await refresh_attempts.bots_with_pending(session)
        adopting = await bots.adopting(session)
        expiring = await credentials.expiring(session, earliest)
    found = [Due(bot_id, handle, settle=True, adopting=bot_id in adopting) for bot_id, handle in pending.items()]
    found += [
        Due(bot_id, handle, settle=False, adopting=True) for bot_id, handle in adopting.items() if bot_id not in pending
    ]
    return found + [
        Due(row.bot_id, row.handle, settle=False)
        for row in expiring
        if row.bot_id not in pending.keys() | adopting.keys()
        and now >= refresh_at(row.bot_id, row.issued_at, row.expires_at, earliest, latest)
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
        if due.adopting:
            found = await adoption.prove(at, due.bot_id, found)
    except WithoutAppError as error:
        return Rotated(due.handle, "waiting", str(error), None)
    except VaultError as error:
        return Rotated(due.handle, "waiting", f"the vault is away: {error}", None)
    except PASSING as error:
        # The driver's words may be many, and name what is nobody's business on a page.
        return Rotated(due.handle, "waiting", f"the database is away ({type(error).__name__})", None)
    expires_at = found.token.expires_at if found.token else None
    return Rotated(found.handle, found.state, found.said, expires_at)
