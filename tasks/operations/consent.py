"""Consent: an account's owner grants us access on X, and comes back with a code that becomes tokens."""

import asyncio
import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.vault.errors import Missing
from blocks.x import oauth
from blocks.x.oauth import OAuthApp
from tasks.connections import Connections
from tasks.domain.credentials import client_path
from tasks.domain.roles import Actor
from tasks.operations import access_tokens, activity, breakers
from tasks.operations.access_tokens import AccessToken
from tasks.operations.bots import NoSuchBotError
from tasks.store import base, bots, connect_links, consents, x_apps
from tasks.store.bots import BotRow
from tasks.store.connect_links import LinkRow
from tasks.store.x_apps import AppRow

SCOPES = ("tweet.read", "tweet.write", "users.read", "media.write", "offline.access")


class ConsentError(RuntimeError):
    """An account cannot be connected; the message says why and what to do."""


@dataclass(frozen=True)
class ConsentLink:
    """Where the owner of an account grants access; good for a while and for one use."""

    handle: str
    url: str
    expires_at: datetime


@dataclass(frozen=True)
class Connected:
    """An account that is connected; `bio_names_operator` is what the gate asks for."""

    handle: str
    x_user_id: str
    bio_names_operator: bool


async def start(at: Connections, handle: str, actor: Actor, link: LinkRow | None = None) -> ConsentLink:
    """Open a consent and say where its page is; the verifier waits in the vault. `link` is what led the owner here."""
    lifetime = timedelta(seconds=at.places.settings.onboarding.state_seconds)
    state = secrets.token_urlsafe(32)
    verifier = oauth.new_verifier()
    async with at.transaction() as session:
        bot, app = await bot_and_app(session, handle, actor.within("bots.connect"))
        consent_id = await consents.add(session, bot.id, _digest(state), lifetime, link.id if link else None)
        expires_at = await base.now(session) + lifetime
        await activity.note(session, actor, "consent.start", bot.handle, "security", bot_id=bot.id, app=app.name)
    await asyncio.to_thread(at.kv.write, _verifier_path(consent_id), {"verifier": verifier.get_secret_value()}, 0)
    url = oauth.authorize_url(
        at.places.x_authorize,
        client_id=app.client_id,
        redirect_uri=app.redirect_uri,
        scopes=SCOPES,
        state=state,
        challenge=oauth.challenge_of(verifier),
    )
    return ConsentLink(bot.handle, url, expires_at)


async def finish(at: Connections, state: str, code: SecretStr, actor: Actor) -> Connected:
    """Turn the code that X gave the owner into tokens in the vault, and let the bot speak."""
    async with at.transaction() as session:
        used = await consents.use(session, _digest(state))
        if used is None:
            raise ConsentError(
                "this sign-in link is unknown, used or too old: start again with `vivesphere bots login`"
            )
        consent_id, bot_id, link_id = used
        bot = await bots.get(session, bot_id)
        if bot is None:
            raise ConsentError("the bot of this sign-in link is gone")
        bot, app = await bot_and_app(session, bot.handle)
        asked_at = await base.now(session)
    try:
        secret = await asyncio.to_thread(at.kv.read, _verifier_path(consent_id))
        client = await asyncio.to_thread(at.kv.read, client_path(app.id))
    except Missing as error:
        raise ConsentError(f"the vault does not hold what signing in takes: {error}") from error
    client_secret = client.data.get("client_secret")
    tokens = await oauth.exchange_code(
        at.x.caller,
        OAuthApp(app.client_id, SecretStr(client_secret) if client_secret else None),
        code=code,
        verifier=SecretStr(secret.data["verifier"]),
        redirect_uri=app.redirect_uri,
    )
    await asyncio.to_thread(at.kv.delete, _verifier_path(consent_id))
    user = (await at.x.me(tokens.access_token)).data
    if (user.username or "").lower() != bot.handle.lower():
        raise ConsentError(f"@{user.username} signed in where @{bot.handle} was asked for: sign in as @{bot.handle}")
    if link_id is not None:
        await _use_link(at, link_id, user.id)
    # By the database's clock, and counted from before the first byte, so that it is never later than X's own.
    expires_at = asked_at + (tokens.expires_at - tokens.first_byte_at)
    token = AccessToken(tokens.access_token, expires_at)
    versions = await access_tokens.keep(at, bot.id, token, tokens.refresh_token, asked_at)
    named = bio_names(user.description, bot.operator_handle)
    async with at.transaction() as session:
        instant = await base.now(session)
        await access_tokens.note(session, bot.id, versions, token, asked_at, tokens.scopes or SCOPES)
        await bots.change(
            session,
            bot.id,
            state="active" if bot.state in ("needs_login", "suspended") else bot.state,
            x_user_id=user.id,
            bio_checked_at=instant,
            bio_names_operator=named,
        )
        await breakers.signed_in(session, bot.id, actor)
        await activity.note(session, actor, "consent.finish", bot.handle, "security", bot_id=bot.id, x_user_id=user.id)
    return Connected(bot.handle, user.id, named)


def bio_names(description: str | None, operator_handle: str) -> bool:
    """Whether a profile says who answers for the account; nobody is never named."""
    return bool(operator_handle) and f"@{operator_handle}".lower() in (description or "").lower()


async def _use_link(at: Connections, link_id: UUID, x_user_id: str) -> None:
    """The owner has come back by a connect link: it is for the account that was connected before, and for one use.

    A handle can change hands on X; the account's id cannot.
    """
    async with at.transaction() as session:
        link = await connect_links.get(session, link_id)
        if link is not None and link.x_user_id not in (None, x_user_id):
            raise ConsentError("another account has this handle now: the link is for the one that was connected before")
        if link is None or not await connect_links.use(session, link_id):
            raise ConsentError("this link was used, replaced or has ended meanwhile")


async def bot_and_app(
    session: AsyncSession, handle: str, within: Collection[str] | None = None
) -> tuple[BotRow, AppRow]:
    """A bot within labels and the app that it signs in through; raises NoSuchBotError, ConsentError."""
    found = await bots.by_handles(session, [handle], within)
    if not found:
        raise NoSuchBotError(handle)
    bot = found[handle.lower()]
    app = await x_apps.get(session, bot.x_app_id) if bot.x_app_id else None
    if app is None:
        raise ConsentError(
            f"@{bot.handle} has no app on X to sign in through: add one with `vivesphere apps add`, "
            "name it as `app` in the bot's file and import the file again"
        )
    return bot, app


def _digest(state: str) -> bytes:
    return hashlib.sha256(state.encode()).digest()


def _verifier_path(consent_id: UUID) -> str:
    return f"consents/{consent_id}"
