"""Where tokens go that X has just granted: sealed into Postgres (R6), then to the vault (R7), then the labels (R8).

The refresh token is written before the access token, as at a sign-in. Its compare-and-set decides who came first; and a
crash between the two costs nothing, because the escrow holds both until the labels are moved.
"""

import asyncio
import json
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import SecretStr

from blocks.vault.errors import Conflict, Missing, VaultError
from blocks.vault.kv import Kv, Secret
from blocks.vault.sealing import PublicKey
from tasks.connections import Connections
from tasks.domain.credentials import ESCROW_KEY, access_path, refresh_path
from tasks.domain.roles import system
from tasks.operations import activity
from tasks.operations.access_tokens import AccessToken
from tasks.operations.patience import PASSING, pauses, ticks
from tasks.store import credentials, refresh_attempts, token_escrow
from tasks.store.bots import BotRow

log = logging.getLogger("vivesphere.debug")

ACTOR = system("rotate-credentials")

# stored: the vault has the tokens. sealed: Postgres alone has them. conflict: somebody wrote newer ones to the vault
# meanwhile. nowhere: neither of the two took them in time.
Kept = Literal["stored", "sealed", "conflict", "nowhere"]


@dataclass(frozen=True)
class Issued:
    """Tokens as X granted them; the instants are those of app_now()."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    scopes: tuple[str, ...] | None

    @property
    def token(self) -> AccessToken:
        """What the bot signs with."""
        return AccessToken(SecretStr(self.access_token), self.expires_at)

    def to_json(self) -> bytes:
        """For the escrow."""
        instants = {"issued_at": self.issued_at.isoformat(), "expires_at": self.expires_at.isoformat()}
        tokens = {"access_token": self.access_token, "refresh_token": self.refresh_token, "scopes": self.scopes}
        return json.dumps({**tokens, **instants}).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Issued":
        """From the escrow."""
        found = json.loads(text)
        issued_at, expires_at = (datetime.fromisoformat(found[name]) for name in ("issued_at", "expires_at"))
        scopes = None if found["scopes"] is None else tuple(found["scopes"])
        return cls(found["access_token"], found["refresh_token"], issued_at, expires_at, scopes)


@dataclass(frozen=True)
class Answered:
    """The attempt that X answered, and the version of the refresh token that it spent."""

    attempt_id: UUID
    from_version: int


async def keep(at: Connections, bot: BotRow, answered: Answered, issued: Issued, to: PublicKey) -> Kept:
    """R6 to R8. While neither Postgres nor the vault is there, this process holds the only copy, and goes on trying."""
    sealed = to.seal(issued.to_json(), str(answered.attempt_id))
    give_up_at = ticks() + at.places.settings.credentials.hold_seconds
    is_sealed = False
    while True:
        is_sealed = is_sealed or await _seal(at, answered, sealed)
        try:
            return await store(at, bot, answered, issued)
        except VaultError as error:
            if is_sealed:
                log.warning("the new tokens of @%s wait in the escrow: %s", bot.handle, error)
                return "sealed"
            log.error("neither database nor vault takes the new tokens of @%s: %s", bot.handle, error)
            if ticks() > give_up_at:
                return "nowhere"


async def opened(at: Connections, answered: Answered, sealed: str) -> Issued:
    """The tokens in the escrow, opened by the vault; the role `keys` alone may. Raises VaultError."""
    return Issued.from_json(await asyncio.to_thread(at.transit.unseal, ESCROW_KEY, sealed, str(answered.attempt_id)))


async def store(at: Connections, bot: BotRow, answered: Answered, issued: Issued) -> Kept:
    """R7 and R8; safe to repeat. Raises VaultError where the vault is away."""
    try:
        versions = await asyncio.to_thread(_write, at.kv, bot.id, answered, issued)
    except Conflict:
        await set_aside(at, bot, answered)
        return "conflict"
    for pause in pauses():
        try:
            await _move_labels(at, bot, answered, issued, versions)
            break
        except PASSING as error:
            log.warning("the labels of @%s are not moved yet; the next look does it: %s", bot.handle, error)
            await asyncio.sleep(pause)
    return "stored"


async def set_aside(at: Connections, bot: BotRow, answered: Answered) -> None:
    """The vault holds newer tokens than this attempt got: those count. Two refreshers of one token are an alarm."""
    log.error(
        "@%s: another refresh or sign-in wrote newer tokens; those of attempt %s are dropped",
        bot.handle,
        answered.attempt_id,
    )
    async with at.transaction() as session:
        await refresh_attempts.close(session, answered.attempt_id, "conflict")
        await token_escrow.remove(session, answered.attempt_id)
        await activity.note(
            session, ACTOR, "credentials.conflict", bot.handle, category="security", attempt=str(answered.attempt_id)
        )


async def _seal(at: Connections, answered: Answered, sealed: str) -> bool:
    for pause in pauses():
        try:
            async with at.transaction() as session:
                await token_escrow.add(session, answered.attempt_id, sealed)
            return True
        except PASSING as error:
            log.warning("the escrow is not written yet: %s", error)
            await asyncio.sleep(pause)
    return False


def _write(kv: Kv, bot_id: UUID, answered: Answered, issued: Issued) -> dict[str, int]:
    """Versions by path. Whoever signs in meanwhile writes the refresh token first: it is looked at last, so that an
    access token of a newer sign-in is never written over."""
    attempt_id = str(answered.attempt_id)
    try:
        access = kv.read(access_path(bot_id))
    except Missing:
        access = None
    try:
        refresh = kv.read(refresh_path(bot_id))
    except Missing:
        raise Conflict(f"the refresh token of {bot_id} is gone: somebody disconnected the bot") from None
    versions = {}
    if issued.refresh_token is not None:
        versions[refresh_path(bot_id)] = _write_one(
            kv, refresh_path(bot_id), {"refresh_token": issued.refresh_token}, refresh, attempt_id, answered
        )
    data = {
        "access_token": issued.access_token,
        "issued_at": issued.issued_at.isoformat(),
        "expires_at": issued.expires_at.isoformat(),
    }
    versions[access_path(bot_id)] = _write_one(kv, access_path(bot_id), data, access, attempt_id)
    return versions


def _write_one(
    kv: Kv, path: str, data: dict[str, str], now: Secret | None, attempt_id: str, answered: Answered | None = None
) -> int:
    if now is not None and now.attempt_id == attempt_id:
        return now.version
    if now is not None and answered is not None and now.version > answered.from_version:
        raise Conflict(f"write secret {path}: another attempt wrote version {now.version}")
    return kv.write_once(path, data, now.version if now else 0, attempt_id)


async def _move_labels(
    at: Connections, bot: BotRow, answered: Answered, issued: Issued, versions: dict[str, int]
) -> None:
    async with at.transaction() as session:
        for kind, path, expires_at in (
            ("x_user_access", access_path(bot.id), issued.expires_at),
            ("x_user_refresh", refresh_path(bot.id), None),
        ):
            if path in versions:
                await credentials.put(
                    session,
                    kind=kind,
                    vault_path=path,
                    version=versions[path],
                    issued_at=issued.issued_at,
                    expires_at=expires_at,
                    bot_id=bot.id,
                    scopes=issued.scopes,
                )
        await refresh_attempts.close(session, answered.attempt_id, "granted")
        await token_escrow.remove(session, answered.attempt_id)
        await activity.note(
            session, ACTOR, "credentials.refresh", bot.handle, category="security", attempt=str(answered.attempt_id)
        )
