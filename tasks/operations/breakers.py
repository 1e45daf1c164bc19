"""Breakers: opened by what X answers, in the transaction of the outcome; closed by the month or by a person."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from tasks.connections import Connections
from tasks.domain.posts import Outcome
from tasks.domain.roles import Actor, system
from tasks.operations import activity
from tasks.store import bots, breakers
from tasks.store.breakers import BreakerRow

# So many posts of a bot refused by X's rules within this time: it says something that X does not want.
REFUSALS_MAX = 5
REFUSALS_WITHIN = timedelta(minutes=15)
OF_THE_APP = ("credits", "usage_capped")


class NoSuchBreakerError(LookupError):
    """No such breaker is open."""


async def heed(session: AsyncSession, outcomes: Sequence[tuple[UUID, Outcome]]) -> None:
    """Open what X's answers call for, given by bot; to be called once the outcomes are written."""
    for bot_id, outcome in outcomes:
        if outcome.silences is None:
            continue
        if outcome.silences == "policy_refusals":
            counted = await breakers.policy_refusals(session, bot_id, REFUSALS_WITHIN)
            if counted < REFUSALS_MAX:
                continue
            evidence = f"{counted} posts refused within 15 minutes, the last: {outcome.said}"
        else:
            evidence = outcome.said
        of_app = outcome.silences in OF_THE_APP
        if await breakers.open_for(session, bot_id, outcome.silences, evidence, of_app):
            bot = await bots.get(session, bot_id)
            subject = bot.handle if bot else str(bot_id)
            await activity.note(
                session, system("governor"), "breakers.open", subject, bot_id=bot_id, cause=outcome.silences
            )


async def standing(at: Connections) -> Sequence[BreakerRow]:
    """Breakers that are open."""
    async with at.transaction() as session:
        return await breakers.standing(session)


async def close(at: Connections, breaker_id: UUID, reason: str, actor: Actor) -> BreakerRow:
    """Let an app or a bot speak again; raises NoSuchBreakerError."""
    async with at.transaction() as session:
        found = next((row for row in await breakers.standing(session) if row.id == breaker_id), None)
        if found is None or not await breakers.close(session, breaker_id, actor.name):
            raise NoSuchBreakerError(str(breaker_id))
        await activity.note(
            session, actor, "breakers.close", found.over, bot_id=found.bot_id, cause=found.cause, reason=reason
        )
    return found
