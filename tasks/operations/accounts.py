"""Accounts on X that join the fleet one by one, with credentials or with a link to sign in."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.vault.errors import VaultError
from blocks.x.errors import NotSent, Refused, Unauthorized, XError
from blocks.x.signing import AppKeys, OAuth1
from blocks.x.wire import User
from tasks.connections import Connections
from tasks.domain.credentials import access_path, refresh_path
from tasks.domain.new_bots import Credentials, NewBot, OAuth1Credentials, OAuth2Credentials
from tasks.domain.personas import Persona
from tasks.domain.roles import Actor
from tasks.operations import access_tokens, activity, consent
from tasks.operations.access_tokens import NEVER, AccessToken
from tasks.operations.consent import ConsentError
from tasks.store import base, bots, personas, posts, x_apps
from tasks.store.bots import BotRow
from tasks.store.x_apps import AppRow

# Accounts taken in at once; X's and the vault's work, not ours.
AT_ONCE = 4
NO_APP = "a refresh token is of use only with the app it was granted to: name it as `app`"


class HandleTakenError(RuntimeError):
    """There is a bot of this handle, or one that speaks for the same account."""


class NotYoursError(PermissionError):
    """A right bound to labels does not reach what was asked for."""


class NewBotError(ValueError):
    """The bot cannot be made as it was described."""


class CredentialsRefusedError(RuntimeError):
    """X does not take the credentials, or they are of another account; nothing was kept."""


class _TokenEndedError(CredentialsRefusedError):
    """X does not take the token, which may have ended."""


# What stops one account of many, in words for people.
REFUSALS = (HandleTakenError, NotYoursError, NewBotError, CredentialsRefusedError, XError, VaultError)


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
class _Proven:
    """An account by X's own word, its token, and where the vault keeps it."""

    account: User
    token: AccessToken
    versions: Mapping[str, int]
    attested: str | None


@dataclass(frozen=True)
class _Around:
    """What a new bot needs of what stands already."""

    bot_id: UUID
    app: AppRow | None
    persona: Persona
    asked_at: datetime


@dataclass(frozen=True)
class Adopted:
    """What became of one account that came with tokens from elsewhere; `said` is for people, without a secret."""

    handle: str
    result: Literal["created", "connected", "unchanged", "waiting", "refused"]
    said: str


async def adopt(at: Connections, wanted: Sequence[NewBot], attested: str, actor: Actor) -> list[Adopted]:
    """Take accounts in with the tokens they have, each tried on X; one that is refused stops no other.

    A bot that is connected keeps the tokens in the vault, which may be newer, so that doing it twice does no harm.
    Where an access token has ended, the one refresher takes the account in by its refresh token: operations/adoption.
    `attested` is who says that the accounts are theirs; it is audited beside each.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(bot: NewBot) -> Adopted:
        async with slots:
            try:
                return await _adopt_one(at, bot, attested, actor)
            except REFUSALS as error:
                return Adopted(bot.bot_name, "refused", str(error))

    return list(await asyncio.gather(*(one(bot) for bot in wanted)))


async def _adopt_one(at: Connections, wanted: NewBot, attested: str, actor: Actor) -> Adopted:
    if wanted.credentials is None:
        raise NewBotError(f"@{wanted.bot_name} comes without tokens: `vivesphere bots login` connects it")
    async with at.transaction() as session:
        known = await bots.by_handles(session, [wanted.bot_name], actor.within("bots.write"))
        now = await base.now(session)
    if not known:
        try:
            made = await create(at, wanted, actor, attested)
        except _TokenEndedError:
            return await _to_refresher(at, wanted, None, attested, actor)
        return Adopted(made.handle, "created", made.said)
    bot = known[wanted.bot_name.lower()]
    if bot.state != "needs_login":
        return Adopted(bot.handle, "unchanged", f"it is {bot.state} and keeps the tokens it has")
    if isinstance(wanted.credentials, OAuth2Credentials) and wanted.credentials.refresh_token and bot.x_app_id is None:
        raise NewBotError(NO_APP)
    token = _token(wanted.credentials, now)
    try:
        account = await whose(at, bot.handle, token)
    except _TokenEndedError:
        return await _to_refresher(at, wanted, bot, attested, actor)
    named = consent.bio_names(account.description, bot.operator_handle)
    changed = {"x_user_id": account.id, "bio_checked_at": now, "bio_names_operator": named, "adopting": False}
    try:
        versions = await access_tokens.keep(at, bot.id, token, _refresh_token(wanted.credentials), now)
        async with at.transaction() as session:
            await access_tokens.note(session, bot.id, versions, token, now, _scopes(wanted.credentials))
            await bots.change(session, bot.id, state="active", **changed)
            found: dict[str, Any] = {"bot_id": bot.id, "x_user_id": account.id, "why": attested}
            await activity.note(session, actor, "bots.adopt", bot.handle, "security", **found)
    except IntegrityError as error:
        await _forget(at, bot.id)
        raise HandleTakenError(f"another bot speaks for the account of @{bot.handle} already") from error
    return Adopted(bot.handle, "connected", f"connected as account {account.id}")


async def _to_refresher(at: Connections, wanted: NewBot, known: BotRow | None, attested: str, actor: Actor) -> Adopted:
    """Leave a refresh token to the one who may send it; raises the refusal again where there is none."""
    given, handle = wanted.credentials, wanted.bot_name
    if not isinstance(given, OAuth2Credentials) or given.refresh_token is None:
        raise CredentialsRefusedError("X does not take this token, and no refresh token came with it")
    waits = "its access token has ended: the next run of rotate-credentials refreshes it, and tries it on X"
    if known is not None and known.adopting:
        return Adopted(known.handle, "waiting", waits)
    around: _Around | None = None
    async with at.transaction() as session:
        now = await base.now(session)
        if known is None:
            around = await _around(session, wanted, actor)
            bot_id, app_id = around.bot_id, around.app.id if around.app else None
        else:
            bot_id, app_id = known.id, known.x_app_id
    if app_id is None:
        raise NewBotError(NO_APP)
    ended = AccessToken(given.access_token, now)
    try:
        versions = await access_tokens.keep(at, bot_id, ended, given.refresh_token, now)
        if around is not None:
            await _add(at, wanted, around, actor)
        async with at.transaction() as session:
            await access_tokens.note(session, bot_id, versions, ended, now, _scopes(given))
            await bots.change(session, bot_id, adopting=True)
            await activity.note(session, actor, "bots.adopt", handle, "security", bot_id=bot_id, why=attested)
    except BaseException:
        await _forget(at, bot_id)
        raise
    return Adopted(handle, "waiting", waits)


async def create(at: Connections, wanted: NewBot, actor: Actor, attested: str | None = None) -> Created:
    """Make one bot. Credentials are tried on X first and go to the vault alone; either all of it stands, or nothing.

    `attested`: who says that the account is theirs, where its tokens come from elsewhere.
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
    account = await whose(at, wanted.bot_name, token)
    refresh_token = _refresh_token(wanted.credentials)
    if refresh_token is not None and around.app is None:
        raise NewBotError(NO_APP)
    try:
        versions = await access_tokens.keep(at, around.bot_id, token, refresh_token, around.asked_at)
        await _add(at, wanted, around, actor, _Proven(account, token, versions, attested))
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


def _refresh_token(given: Credentials | None) -> SecretStr | None:
    return given.refresh_token if isinstance(given, OAuth2Credentials) else None


def _scopes(given: Credentials | None) -> Sequence[str]:
    return given.scope.split() if isinstance(given, OAuth2Credentials) else ()


def _token(given: OAuth1Credentials | OAuth2Credentials, now: datetime) -> AccessToken:
    if isinstance(given, OAuth2Credentials):
        return AccessToken(given.access_token, now + timedelta(seconds=given.expires_in))
    app = AppKeys(given.api_key, given.api_key_secret)
    return AccessToken(OAuth1(app, given.access_token, given.access_token_secret), NEVER)


async def whose(at: Connections, handle: str, token: AccessToken) -> User:
    """The account whose credentials these are by X's own word; raises CredentialsRefusedError, XError."""
    try:
        found = (await at.x.me(token.value)).data
    except Unauthorized as error:
        raise _TokenEndedError(f"X does not take these credentials: {error.detail}") from None
    except Refused as error:
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
    proven: _Proven | None = None,
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
            if proven is not None:
                values |= {
                    "state": "active",
                    "x_user_id": proven.account.id,
                    "bio_checked_at": around.asked_at,
                    "bio_names_operator": consent.bio_names(proven.account.description, values["operator_handle"]),
                }
                changed = {
                    name: values[name] for name in ("state", "x_user_id", "bio_checked_at", "bio_names_operator")
                }
                await bots.change(session, around.bot_id, **changed)
                scopes = _scopes(wanted.credentials)
                await access_tokens.note(session, around.bot_id, proven.versions, proven.token, around.asked_at, scopes)
                if proven.attested:
                    found: dict[str, Any] = {
                        "bot_id": around.bot_id,
                        "x_user_id": proven.account.id,
                        "why": proven.attested,
                    }
                    await activity.note(session, actor, "bots.adopt", wanted.bot_name, "security", **found)
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
