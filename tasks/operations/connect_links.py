"""Connect links: the owner of an account, who has no login here, connects it again on a page of ours."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncSession

from tasks.connections import Connections
from tasks.domain.roles import Actor, system
from tasks.operations import activity, consent
from tasks.operations.bots import NoSuchBotError
from tasks.operations.consent import ConsentLink
from tasks.store import bots, connect_links, posts, x_apps
from tasks.store.bots import BotRow
from tasks.store.connect_links import LinkRow

PAGE = "/connect"
OWNER = system("connect link")


class ConnectLinkError(RuntimeError):
    """A connect link is unknown, used, replaced or too old."""

    def __init__(self) -> None:
        super().__init__("this link is unknown, used, replaced by a newer one, or too old")


@dataclass(frozen=True)
class Offer:
    """What the owner of an account is asked for, before anything happens."""

    handle: str
    x_user_id: str | None
    operator_handle: str
    app: str
    waiting: int
    expires_at: datetime


async def make(at: Connections, handle: str, actor: Actor) -> ConsentLink:
    """A link for the account's owner, in the place of the one before; its secret is in the address and nowhere else.

    Raises NoSuchBotError, and ConsentError where the bot has no app to sign in through.
    """
    secret = secrets.token_urlsafe(32)
    life = timedelta(seconds=at.places.settings.onboarding.connect_link_seconds)
    async with at.transaction() as session:
        bot, _ = await consent.bot_and_app(session, handle, actor.within("bots.connect"))
        # Two at once would both end the one before, and both begin one.
        await bots.by_handles(session, [bot.handle], lock=True)
        await connect_links.end_of_bot(session, bot.id)
        expires_at = await connect_links.add(session, bot.id, bot.x_user_id, _digest(secret), actor.name, life)
        await activity.note(session, actor, "bots.connect_link", bot.handle, "security", bot_id=bot.id)
    return ConsentLink(bot.handle, f"{at.places.front_door}{PAGE}?link={quote(secret)}", expires_at)


async def offer(at: Connections, secret: str) -> Offer:
    """What a link is for; looking uses nothing up. Raises ConnectLinkError."""
    async with at.transaction() as session:
        link, bot = await _opened(session, secret)
        app = await x_apps.get(session, bot.x_app_id) if bot.x_app_id else None
        waiting = await posts.waiting(session, bot.id)
    name = app.name if app else "its app"
    return Offer(bot.handle, link.x_user_id, bot.operator_handle, name, waiting, link.expires_at)


async def follow(at: Connections, secret: str) -> ConsentLink:
    """Lead the owner on to X. The link is used up by the account that comes back, and by none but its own."""
    async with at.transaction() as session:
        link, bot = await _opened(session, secret)
    return await consent.start(at, bot.handle, OWNER, link)


async def _opened(session: AsyncSession, secret: str) -> tuple[LinkRow, BotRow]:
    link = await connect_links.opened(session, _digest(secret))
    if link is None:
        raise ConnectLinkError
    bot = await bots.get(session, link.bot_id)
    if bot is None:
        raise NoSuchBotError(str(link.bot_id))
    return link, bot


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
