"""Accounts that came with an access token that has ended and a refresh token that may be good.

The gateway may hand tokens in and neither read nor refresh them. So it leaves them to the one refresher: what that gets
for them says on X whose they are, and then the bot is taken in, or left to its owner.
"""

from dataclasses import replace
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from blocks.x.errors import XError
from blocks.x.wire import User
from tasks.connections import Connections
from tasks.operations import activity, consent
from tasks.operations.accounts import CredentialsRefusedError, whose
from tasks.operations.escrow import ACTOR
from tasks.operations.token_refresh import Refreshed
from tasks.store import base, bots
from tasks.store.bots import BotRow


async def prove(at: Connections, bot_id: UUID, refreshed: Refreshed) -> Refreshed:
    """Ask X whose the first refreshed tokens of a bot are, and take the bot in by them; safe to repeat.

    What hinders and passes leaves the bot waiting for the next run.
    """
    if refreshed.state == "waiting":
        return refreshed
    async with at.transaction() as session:
        bot = await bots.get(session, bot_id)
    if bot is None or not bot.adopting:
        return refreshed
    if bot.state != "needs_login":
        # Its owner has signed in meanwhile.
        async with at.transaction() as session:
            await bots.change(session, bot.id, adopting=False)
        return refreshed
    if refreshed.token is None:
        return await _left_to_owner(at, bot, refreshed.said)
    try:
        account = await whose(at, bot.handle, refreshed.token)
        return await _taken_in(at, bot, account, refreshed)
    except CredentialsRefusedError as error:
        return await _left_to_owner(at, bot, str(error))
    except IntegrityError:
        return await _left_to_owner(at, bot, f"another bot speaks for the account of @{bot.handle} already")
    except XError as error:
        said = f"refreshed, and X does not say whose the tokens are ({type(error).__name__}); it is asked again"
        return replace(refreshed, state="waiting", said=said)


async def _taken_in(at: Connections, bot: BotRow, account: User, refreshed: Refreshed) -> Refreshed:
    async with at.transaction() as session:
        await bots.change(
            session,
            bot.id,
            state="active",
            adopting=False,
            x_user_id=account.id,
            bio_checked_at=await base.now(session),
            bio_names_operator=consent.bio_names(account.description, bot.operator_handle),
        )
        await activity.note(session, ACTOR, "bots.adopted", bot.handle, "security", bot_id=bot.id, x_user_id=account.id)
    return replace(refreshed, said=f"connected as account {account.id}; {refreshed.said}")


async def _left_to_owner(at: Connections, bot: BotRow, why: str) -> Refreshed:
    async with at.transaction() as session:
        await bots.change(session, bot.id, adopting=False)
        await activity.note(session, ACTOR, "bots.not_adopted", bot.handle, "security", bot_id=bot.id, why=why)
    return Refreshed(bot.handle, "needs_login", f"not taken in: {why}", None)
