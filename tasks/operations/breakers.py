"""Breakers: opened by what X answers, in the transaction of the outcome; ended by the month or by a person, and closed
once X has answered a harmless call well."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from blocks.x.errors import Duplicate, Exhausted, Refused, Suspended, Unauthorized, XError
from tasks.connections import Connections
from tasks.domain.limits import probe_pause
from tasks.domain.posts import Cause, Outcome
from tasks.domain.roles import Actor, system
from tasks.operations import activity, governor
from tasks.operations.access_tokens import AccessToken
from tasks.operations.credentials import AccessTokens, access_tokens
from tasks.operations.governor import NotNow
from tasks.operations.patience import PASSING
from tasks.store import base, bots, breakers
from tasks.store.breakers import BreakerRow, Probe

log = logging.getLogger("vivesphere.debug")

# So many posts of a bot refused by X's rules within this time: it says something that X does not want.
REFUSALS_MAX = 5
REFUSALS_WITHIN = timedelta(minutes=15)
OF_THE_APP = ("credits", "usage_capped")
ME = "GET /2/users/me"
# Whoever asks X has an answer within this time, or somebody else asks.
PROBE_LEASE = timedelta(seconds=30)
PROBES_AT_ONCE = 10
GOVERNOR = system("governor")


class NoSuchBreakerError(LookupError):
    """No such breaker is open."""


def cause_of(error: XError) -> Cause | None:
    """What an answer to a post says of the account or the app; None where it is about the post alone."""
    match error:
        case Exhausted():
            return "credits" if error.status == HTTPStatus.PAYMENT_REQUIRED else "usage_capped"
        case Suspended():
            return "suspended"
        case Refused() if error.status == HTTPStatus.FORBIDDEN and not isinstance(error, Duplicate):
            return "policy_refusals"
    return None


async def heed(session: AsyncSession, outcomes: Sequence[tuple[UUID, Outcome]]) -> None:
    """Open what X's answers call for, given by bot; to be called once the outcomes are written."""
    for bot_id, outcome in outcomes:
        if outcome.silences is None:
            continue
        evidence = outcome.said
        if outcome.silences == "policy_refusals":
            counted = await breakers.policy_refusals(session, bot_id, REFUSALS_WITHIN)
            if counted < REFUSALS_MAX:
                continue
            evidence = f"{counted} posts refused within 15 minutes, the last: {outcome.said}"
        await _open(session, bot_id, outcome.silences, evidence)


async def heed_read(at: Connections, bot_id: UUID, error: XError) -> None:
    """What X answered to something that was no post: a suspended account is one whatever it asked for."""
    if isinstance(error, Suspended):
        async with at.transaction() as session:
            await _open(session, bot_id, "suspended", _said(error))


async def _open(session: AsyncSession, bot_id: UUID, cause: Cause, evidence: str) -> None:
    opened = await breakers.open_for(session, bot_id, cause, evidence, cause in OF_THE_APP)
    suspended = cause == "suspended" and await bots.suspend(session, bot_id)
    if opened or suspended:
        bot = await bots.get(session, bot_id)
        subject = bot.handle if bot else str(bot_id)
        await activity.note(session, GOVERNOR, "breakers.open", subject, bot_id=bot_id, cause=cause)


async def standing(at: Connections) -> Sequence[BreakerRow]:
    """Breakers that are open or half open."""
    async with at.transaction() as session:
        return await breakers.standing(session)


async def close(at: Connections, breaker_id: UUID, reason: str, actor: Actor) -> BreakerRow:
    """Have X asked now whether it takes an app or a bot again, which lets it speak; raises NoSuchBreakerError."""
    async with at.transaction() as session:
        if not await breakers.end(session, breaker_id, actor.name):
            raise NoSuchBreakerError(str(breaker_id))
        found = next(row for row in await breakers.standing(session) if row.id == breaker_id)
        if found.bot_id is not None and found.cause == "suspended":
            # Its tokens are renewed again; until X has answered, the half-open breaker holds its posts.
            await bots.restore(session, found.bot_id)
        await activity.note(
            session, actor, "breakers.close", found.over, bot_id=found.bot_id, cause=found.cause, reason=reason
        )
    return found


async def signed_in(session: AsyncSession, bot_id: UUID, actor: Actor) -> None:
    """X has just answered for a bot's account by its new token: it is not suspended."""
    if await breakers.close_of_bot(session, bot_id, "suspended", actor.name):
        bot = await bots.get(session, bot_id)
        await activity.note(
            session, actor, "breakers.closed", bot.handle if bot else str(bot_id), bot_id=bot_id, cause="suspended"
        )


async def keep_probing(at: Connections) -> None:
    """Ask X again and again for what is half open."""
    while True:
        try:
            await probe(at)
        except PASSING as error:
            log.warning("no half-open breaker was looked at: %s", error)
        await asyncio.sleep(at.places.settings.posting.beat_seconds)


async def probe(at: Connections) -> list[Probe]:
    """Ask X once for each half-open breaker that is due: a good answer closes it. Never by a post: by GET users/me."""
    async with at.transaction() as session:
        taken = await breakers.take_probes(session, PROBE_LEASE, PROBES_AT_ONCE)
        now = await base.now(session)
    tokens = await access_tokens(at, {one.bot_id for one in taken}, now) if taken else {}
    for one in taken:
        token = tokens[one.bot_id]
        said = await _ask(at, one, token) if isinstance(token, AccessToken) else token.reason
        await _conclude(at, one, said)
    return list(taken)


async def _ask(at: Connections, one: Probe, token: AccessToken) -> XError | str | None:
    """X's no, or why it was not asked; None where it answered well."""
    granted = await governor.reserve(at, one.x_app_id, one.bot_id, ME)
    if isinstance(granted, NotNow):
        return granted.reason
    try:
        await at.x.me(token.value)
    except XError as error:
        if isinstance(error, Unauthorized):
            at.kept(AccessTokens, AccessTokens).forget(one.bot_id)
        if error.outcome_known:
            await governor.used(at, granted, 0)
        return error
    return None


async def _conclude(at: Connections, one: Probe, said: XError | str | None) -> None:
    first = timedelta(seconds=at.places.settings.posting.probe_seconds)
    wait = probe_pause(first, one.probes, secrets.SystemRandom().random())
    async with at.transaction() as session:
        if said is None:
            if await breakers.close_ended(session, one.id, GOVERNOR.name):
                subject = f"@{one.handle}"
                await activity.note(
                    session, GOVERNOR, "breakers.closed", subject, bot_id=one.bot_id, cause=one.cause, probes=one.probes
                )
            return
        words = _said(said) if isinstance(said, XError) else said
        log.warning("X is asked again for @%s later: %s", one.handle, words)
        await breakers.ask_again(session, one.id, words, wait)
        if isinstance(said, Suspended):
            # Of a suspended account X is not asked again before a person says so.
            await _open(session, one.bot_id, "suspended", words)


def _said(error: XError) -> str:
    return ": ".join(part for part in (error.problem, error.detail) if part)
