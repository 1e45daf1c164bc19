"""Onboarding: every bot that waits for its account is connected, or says what its owner has to do."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from blocks.vault.errors import VaultError
from blocks.x.errors import XError
from blocks.x.rehearsal import RehearsalError, grant
from tasks.connections import Connections
from tasks.domain.roles import Actor
from tasks.operations import consent
from tasks.operations.consent import ConsentError
from tasks.store import bots, run_requests
from tasks.store.bots import BotRow
from tasks.store.run_requests import Wanted

# Consents under way at once; X's and the vault's work, not ours.
AT_ONCE = 4
FLOW = "onboard-bots"
# A run that nobody asked for through us was started on Prefect's pages, where a role for everything is needed.
EVERYTHING = Wanted({}, None)


@dataclass(frozen=True)
class Onboarded:
    """What became of one bot; `said` tells the operator why, or what to do."""

    handle: str
    state: Literal["active", "needs_login"]
    said: str


async def waiting(at: Connections, run_request_id: UUID | None, flow_run_id: UUID) -> list[str]:
    """Handles of bots that need a sign-in: those that the run's own request names, or all of them."""
    async with at.transaction() as session:
        asked = EVERYTHING
        if run_request_id is not None:
            asked = await run_requests.take(session, run_request_id, FLOW, flow_run_id)
        found = await bots.list_all(session, state="needs_login", within=asked.labels)
    handles = asked.arguments.get("handles")
    wanted = None if handles is None else {handle.lower() for handle in handles}
    return [bot.handle for bot in found if wanted is None or bot.handle.lower() in wanted]


async def connect(at: Connections, handles: Sequence[str], actor: Actor) -> list[Onboarded]:
    """Connect bots side by side; one that fails stops no other."""
    async with at.transaction() as session:
        waiting_bots = await bots.by_handles(session, handles)
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(bot: BotRow) -> Onboarded:
        async with slots:
            return await _connect_one(at, bot, actor)

    return list(await asyncio.gather(*(one(bot) for bot in waiting_bots.values())))


async def _connect_one(at: Connections, bot: BotRow, actor: Actor) -> Onboarded:
    if not at.places.x_is_sandbox:
        return Onboarded(bot.handle, "needs_login", f"its owner opens the link of `vivesphere bots login {bot.handle}`")
    try:
        link = await consent.start(at, bot.handle, actor)
        state, code = await grant(link.url, username=bot.handle, name=bot.display_name, description=bot.description)
        connected = await consent.finish(at, state, code, actor)
    except (ConsentError, RehearsalError, XError, VaultError) as error:
        return Onboarded(bot.handle, "needs_login", str(error))
    if not connected.bio_names_operator:
        return Onboarded(
            bot.handle, "active", f"connected, but its bio does not name @{bot.operator_handle}: no post passes"
        )
    return Onboarded(bot.handle, "active", f"connected as account {connected.x_user_id}")
