"""Accounts on X that join the fleet one by one, with credentials or with a link to sign in."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.vault.errors import VaultError
from blocks.x.errors import NotSent, Refused, Unauthorized
from blocks.x.signing import AppKeys, OAuth1
from blocks.x.wire import User
from tasks.connections import Connections
from tasks.domain.credentials import access_path, refresh_path
from tasks.domain.new_bots import NewBot, OAuth1Credentials, OAuth2Credentials
from tasks.domain.personas import Persona
from tasks.domain.roles import Actor
from tasks.operations import access_tokens, activity, consent
from tasks.operations.access_tokens import NEVER, AccessToken
from tasks.operations.consent import ConsentError
from tasks.store import base, bots, personas, posts, x_apps
from tasks.store.x_apps import AppRow


class HandleTakenError(RuntimeError):
    """There is a bot of this handle, or one that speaks for the same account."""


class NotYoursError(PermissionError):
    """A right bound to labels does not reach what was asked for."""


class NewBotError(ValueError):
    """The bot cannot be made as it was described."""


class CredentialsRefusedError(RuntimeError):
    """X does not take the credentials, or they are of another account; nothing was kept."""


@dataclass(frozen=True)
class Created:
    """A bot that there is now. `login_url` is where the account's owner grants access; `said` is for people."""

    id: UUID
    handle: str
    state: str
    x_user_id: str | None
    login_url: str | None
    login_expires_at: datetime | None
    said: str


@dataclass(frozen=True)
class _Around:
    """What a new bot needs of what stands already."""

    bot_id: UUID
    app: AppRow | None
    persona: Persona
    asked_at: datetime


async def create(at: Connections, wanted: NewBot, actor: Actor) -> Created:
    """Make one bot. Credentials are tried on X first and go to the vault alone; either all of it stands, or nothing.

    Raises HandleTakenError, NotYoursError, NewBotError and CredentialsRefusedError; XError where X does not answer.
    """
    if actor.user_id is None:
        raise PermissionError("bots belong to a user: sign in as one")
    async with at.transaction() as session:
        around = await _around(session, wanted, actor)
    if wanted.credentials is None:
        await _add(at, wanted, around, actor)
        return await _to_sign_in(at, wanted.bot_name, around, actor)
    token = _token(wanted.credentials, around.asked_at)
    account = await _account(at, wanted.bot_name, token)
    refresh_token = wanted.credentials.refresh_token if isinstance(wanted.credentials, OAuth2Credentials) else None
    if refresh_token is not None and around.app is None:
        raise NewBotError("a refresh token is of use only with the app it was granted to: name it as `app`")
    try:
        versions = await access_tokens.keep(at, around.bot_id, token, refresh_token, around.asked_at)
        await _add(at, wanted, around, actor, account, token, versions)
    except BaseException:
        await _forget(at, around.bot_id)
        raise
    return Created(
        around.bot_id, wanted.bot_name, "active", account.id, None, None, f"connected as account {account.id}"
    )


async def _around(session: AsyncSession, wanted: NewBot, actor: Actor) -> _Around:
    within = actor.within("bots.write")
    if within is not None and (not wanted.labels or set(wanted.labels) - within):
        raise NotYoursError(f"give @{wanted.bot_name} one of your labels, and no other: {', '.join(sorted(within))}")
    if await bots.by_handles(session, [wanted.bot_name]):
        raise HandleTakenError(f"there is a bot @{wanted.bot_name} already")
    apps = await x_apps.list_all(session)
    named = [app for app in apps if wanted.app in (None, app.name)]
    if wanted.app and not named:
        raise NewBotError(f"there is no app '{wanted.app}'; GET /api/v1/apps lists them")
    name = wanted.persona or wanted.bot_name
    spoken = {persona.name: persona for persona in await personas.list_all(session)}
    if wanted.persona and name not in spoken:
        raise NewBotError(f"there is no persona '{name}'; POST /api/v1/personas/create makes one")
    if within is not None and name in await bots.personas_beyond(session, [name], within):
        raise NotYoursError(f"persona '{name}' is not your bots' alone")
    plain = Persona(name=name, tone="plain", interests=(wanted.bot_name,))
    [bot_id] = await posts.new_ids(session, 1)
    return _Around(bot_id, named[0] if len(named) == 1 else None, spoken.get(name, plain), await base.now(session))


def _token(given: OAuth1Credentials | OAuth2Credentials, now: datetime) -> AccessToken:
    if isinstance(given, OAuth2Credentials):
        return AccessToken(given.access_token, now + timedelta(seconds=given.expires_in))
    app = AppKeys(given.api_key, given.api_key_secret)
    return AccessToken(OAuth1(app, given.access_token, given.access_token_secret), NEVER)


async def _account(at: Connections, handle: str, token: AccessToken) -> User:
    """Whose credentials these are, by X's own word."""
    try:
        found = (await at.x.me(token.value)).data
    except (Unauthorized, Refused) as error:
        raise CredentialsRefusedError(f"X does not take these credentials: {error.detail}") from None
    except NotSent as error:
        if error.retryable:
            raise
        raise CredentialsRefusedError("these credentials hold characters that no request can carry") from None
    if (found.username or "").lower() != handle.lower():
        raise CredentialsRefusedError(f"these credentials are of @{found.username}, not of @{handle}")
    return found


async def _add(
    at: Connections,
    wanted: NewBot,
    around: _Around,
    actor: Actor,
    account: User | None = None,
    token: AccessToken | None = None,
    versions: Mapping[str, int] | None = None,
) -> None:
    values = _values(wanted, around)
    try:
        async with at.transaction() as session:
            voices = await personas.put(session, [around.persona])
            if wanted.automation_label:
                values |= {"label_confirmed_at": around.asked_at, "label_confirmed_by": wanted.automation_label.by}
            await bots.add(
                session,
                [{**values, "id": around.bot_id, "owner_id": actor.user_id, "persona_id": voices[around.persona.name]}],
            )
            if account and token and versions:
                values |= {
                    "state": "active",
                    "x_user_id": account.id,
                    "bio_checked_at": around.asked_at,
                    "bio_names_operator": consent.bio_names(account.description, values["operator_handle"]),
                }
                changed = {
                    name: values[name] for name in ("state", "x_user_id", "bio_checked_at", "bio_names_operator")
                }
                await bots.change(session, around.bot_id, **changed)
                scopes = wanted.credentials.scope.split() if isinstance(wanted.credentials, OAuth2Credentials) else ()
                await access_tokens.note(session, around.bot_id, versions, token, around.asked_at, scopes)
            told = {**values, "persona": around.persona.name}
            await activity.note(session, actor, "bots.new", wanted.bot_name, after=told, bot_id=around.bot_id)
    except IntegrityError as error:
        raise HandleTakenError(f"there is a bot @{wanted.bot_name}, or one of the same account, already") from error


def _values(wanted: NewBot, around: _Around) -> dict[str, Any]:
    return {
        "handle": wanted.bot_name,
        "display_name": wanted.display_name or wanted.bot_name,
        "description": wanted.description or "",
        "time_zone": wanted.time_zone,
        "posts_per_day_max": wanted.posts_per_day_max,
        "labels": list(wanted.labels),
        "operator_handle": wanted.operator_handle or "",
        "x_app_id": around.app.id if around.app else None,
    }


async def _to_sign_in(at: Connections, handle: str, around: _Around, actor: Actor) -> Created:
    try:
        link = await consent.start(at, handle, actor)
    except ConsentError as error:
        return Created(around.bot_id, handle, "needs_login", None, None, None, str(error))
    said = f"the owner of @{handle} opens login_url and grants access"
    return Created(around.bot_id, handle, "needs_login", None, link.url, link.expires_at, said)


async def _forget(at: Connections, bot_id: UUID) -> None:
    for path in (refresh_path(bot_id), access_path(bot_id)):
        with suppress(VaultError):
            await asyncio.to_thread(at.kv.delete, path)
