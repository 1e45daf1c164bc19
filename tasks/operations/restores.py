"""Epochs: what this stack may not do while another one may be at work with the same accounts.

After a restore the stack from which the backup came may still live. So this one posts nothing and refreshes no token
until a person has taken over; whatever falls due meanwhile is looked for on the timelines of its accounts.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from blocks.vault.errors import Missing
from blocks.x.errors import Unauthorized, XError
from tasks.connections import Connections
from tasks.domain.budget import cost_usd, kind_of_post
from tasks.domain.credentials import refresh_path
from tasks.domain.roles import Actor
from tasks.operations import activity, governor, stops, token_refresh
from tasks.operations.access_tokens import AccessToken
from tasks.operations.credentials import Unusable, access_tokens, fresh_token
from tasks.operations.governor import NotNow
from tasks.operations.patience import ticks
from tasks.operations.stops import Target
from tasks.store import attempts, base, refresh_attempts, restores, senders
from tasks.store import stops as stop_rows
from tasks.store.restores import EpochRow, Priced, TokenBot

log = logging.getLogger("vivesphere.debug")

ME = "GET /2/users/me"
POLL_SECONDS = 0.2
# No host is called that, so no process here can be taken for a sender of the other stack.
ELSEWHERE = "another stack"


class NothingToTakeOverError(LookupError):
    """This stack was neither restored nor handed over, or somebody has taken over already."""


class StillOpenError(RuntimeError):
    """An epoch is open: nobody has taken over yet."""


class RefreshesBusyError(RuntimeError):
    """Another backup is being made, or a refresh of tokens does not come to its end."""


@dataclass(frozen=True)
class Origin:
    """Where a backup came from. `backup_at` is by app_now(); `tokens_unused`: that stack refreshed nothing after it."""

    backup_at: datetime
    host: str
    home: str
    tokens_unused: bool


@dataclass(frozen=True)
class TokenSeen:
    """How a bot's access token stands with X; `said` is for people."""

    handle: str
    state: Literal["serves", "ended", "refused", "unknown"]
    said: str


@dataclass(frozen=True)
class Situation:
    """What a person wants to know before taking over."""

    epoch: EpochRow
    other_posted_at: datetime | None
    in_doubt: int
    tokens: Sequence[TokenSeen]


@asynccontextmanager
async def refreshes_paused(at: Connections) -> AsyncIterator[None]:
    """No token is refreshed while the block runs, and none is on its way: answers in escrow are finished first.

    It ends with this process, whatever becomes of it. Needs the role `keys`; raises RefreshesBusyError.
    """
    give_up_at = ticks() + at.places.settings.backup.wait_seconds
    async with at.standing_session() as held:
        while not await restores.hold_refreshes(held):
            await _wait(give_up_at, "another backup is being made")
        while await _in_flight(at):
            await _finish(at)
            await _wait(give_up_at, "a refresh of tokens has not come to its end: `vivesphere credentials list`")
        yield


async def begin(at: Connections, origin: Origin, actor: Actor) -> int:
    """A restored database begins an epoch of its own; answers its number. Nothing of this stack runs yet."""
    told = f"{origin.backup_at:%Y-%m-%d %H:%M} UTC"
    async with at.transaction() as session:
        stop_id = await stop_rows.add(
            session,
            scope="fleet",
            reason=f"restored from a backup of {told}, not taken over yet",
            created_by=actor.name,
        )
        # One that was handed over before the backup was made; its stop goes with this one.
        await restores.end(session, actor.name)
        epoch = await _add(session, "restored", origin, stop_id, actor)
        await restores.void_access(session)
        await restores.doubt_earlier(session, _reason(origin.backup_at))
        await _doubt_due(at, session, origin.backup_at, timedelta())
        await activity.note(session, actor, "restores.begin", str(epoch), "security", backup_at=origin.backup_at)
    return epoch


async def hand_over(at: Connections, origin: Origin, actor: Actor) -> int:
    """This stack stops for good, so that another one can go on from a backup made now; answers the epoch's number."""
    stopped = await stops.stop(at, Target("fleet"), "handed over to another stack", actor)
    async with at.transaction() as session:
        epoch = await _add(session, "handed_over", origin, stopped.stop.id, actor)
        await activity.note(session, actor, "restores.hand_over", str(epoch), "security")
    return epoch


async def doubt_due(at: Connections) -> None:
    """While an epoch is open, what falls due is the other stack's to send: its timeline tells whether it did."""
    async with at.transaction() as session:
        epoch = await restores.open_one(session)
    if epoch is None:
        return
    async with at.transaction() as session:
        await _doubt_due(at, session, epoch.backup_at, timedelta())


async def look(at: Connections) -> Situation:
    """What is known of the other stack, and how each token stands with X; raises NothingToTakeOverError."""
    async with at.transaction() as session:
        epoch = await _open(session)
        now = await base.now(session)
        posted = await restores.newest_of_the_other(session, epoch)
        doubts = await restores.in_doubt(session)
        found = await restores.bots_with_tokens(session)
    tokens = await access_tokens(at, [bot.id for bot in found], now)
    seen = [await _see(at, bot, token) for bot in found for token in [tokens[bot.id]]]
    return Situation(epoch, posted, doubts, seen)


async def take_over(at: Connections, actor: Actor, *, may_replay: bool) -> EpochRow:
    """The other stack is gone, says a person: from now on this one posts and refreshes.

    Whatever the other one may have sent by now is decided by the timelines first. Its refresh tokens may be used up:
    with `may_replay` each is tried once when its access token has ended, else those accounts sign in again then.
    Needs the role `keys`. Raises NothingToTakeOverError.
    """
    async with at.transaction() as session:
        epoch = await _open(session)
        found = await restores.bots_with_tokens(session)
    if not epoch.tokens_unused:
        for bot in found:
            await _doubt_token(at, epoch, bot, may_replay)
    ahead = timedelta(seconds=at.places.settings.x.clock_skew_seconds)
    async with at.transaction() as session:
        await restores.doubt_earlier(session, _reason(epoch.backup_at))
        await _doubt_due(at, session, epoch.backup_at, ahead)
        await senders.bury(session, [epoch.sender_id])
        await attempts.look_sooner(session, [epoch.sender_id])
        await restores.end(session, actor.name)
        await stop_rows.lift(session, await restores.stops_of_all(session), actor.name)
        await activity.note(session, actor, "restores.take_over", str(epoch.epoch), "security", may_replay=may_replay)
    return epoch


async def _add(session: AsyncSession, kind: str, origin: Origin, stop_id: UUID, actor: Actor) -> int:
    sender = await senders.add(
        session, host=ELSEWHERE, boot_id="", pid_namespace=0, pid=0, start_ticks=0, flow_run_id=None
    )
    return await restores.add(
        session,
        kind=kind,
        backup_at=origin.backup_at,
        origin_host=origin.host,
        origin_home=origin.home,
        tokens_unused=origin.tokens_unused,
        stop_id=stop_id,
        sender_id=sender,
        begun_by=actor.name,
    )


async def _open(session: AsyncSession) -> EpochRow:
    epoch = await restores.open_one(session)
    if epoch is None:
        raise NothingToTakeOverError("nothing is to be taken over: this stack posts and refreshes by itself")
    return epoch


async def _doubt_due(at: Connections, session: AsyncSession, since: datetime, ahead: timedelta) -> None:
    if found := await restores.due(session, ahead):
        prices = governor.tables(at).prices
        priced = [Priced(post.id, kind_of_post(post.text), cost_usd(post.text, prices)) for post in found]
        await restores.doubt(session, priced, _reason(since))
        log.warning("%d posts are due that another stack may have sent: their timelines tell", len(priced))


def _reason(since: datetime) -> str:
    return f"another stack may have sent it since the backup of {since:%Y-%m-%d %H:%M:%S} UTC: its timeline tells"


async def _see(at: Connections, bot: TokenBot, token: AccessToken | Unusable) -> TokenSeen:
    """By one harmless question; a token that is refused asks for a login."""
    if isinstance(token, Unusable):
        return TokenSeen(bot.handle, "ended", token.reason)
    granted = await governor.reserve(at, bot.x_app_id, bot.id, ME)
    if isinstance(granted, NotNow):
        return TokenSeen(bot.handle, "unknown", granted.reason)
    try:
        await at.x.me(token.value)
    except Unauthorized as error:
        return TokenSeen(bot.handle, "refused", str(error))
    except XError as error:
        return TokenSeen(bot.handle, "unknown", str(error))
    return TokenSeen(bot.handle, "serves", "")


async def _doubt_token(at: Connections, epoch: EpochRow, bot: TokenBot, may_replay: bool) -> None:
    try:
        held = await asyncio.to_thread(at.kv.read, refresh_path(bot.id))
    except Missing:
        return
    mark = await token_refresh.fingerprint_of(at, held)
    async with at.transaction() as session:
        await restores.doubt_token(session, epoch, bot.id, mark, held.version, may_replay=may_replay)


async def _in_flight(at: Connections) -> int:
    async with at.transaction() as session:
        return await restores.refreshes_in_flight(session)


async def _finish(at: Connections) -> None:
    async with at.transaction() as session:
        pending = await refresh_attempts.bots_with_pending(session)
    for bot_id in pending:
        await fresh_token(at, bot_id, settle=True)


async def _wait(give_up_at: float, why: str) -> None:
    if ticks() > give_up_at:
        raise RefreshesBusyError(f"{why}; try again in a minute")
    await asyncio.sleep(POLL_SECONDS)
