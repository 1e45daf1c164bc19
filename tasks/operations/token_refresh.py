"""The refresh of one bot's tokens under its lease: R2 to R5 of the protocol, and what an interrupted one left to do.

R1 is the lease (operations/credentials.fresh_token). R2 look at the vault. R3 probe a write. R4 commit the attempt.
R5 send, not later than the attempt says. R6 to R8 are operations/escrow. docs/guide/credentials.md says what each
interruption comes to.
"""

import asyncio
import hmac
import logging
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import SecretStr

from blocks.process import ProcessIdentity, can_judge, proven_dead, this_process
from blocks.vault.errors import Conflict, Missing, VaultError
from blocks.vault.kv import Kv, Secret
from blocks.vault.sealing import PublicKey
from blocks.x import oauth
from blocks.x.errors import InvalidGrant, NotSent, XError
from blocks.x.oauth import OAuthApp
from tasks.connections import Connections
from tasks.domain import rotation
from tasks.domain.credentials import (
    ESCROW_KEY,
    FINGERPRINT_PATH,
    PROBE_PATH,
    access_path,
    client_path,
    refresh_path,
)
from tasks.domain.rotation import SPARE, Held, Left
from tasks.operations import access_tokens, activity, escrow
from tasks.operations.access_tokens import AccessToken
from tasks.operations.escrow import ACTOR, Answered, Issued
from tasks.operations.patience import PASSING, pauses, ticks
from tasks.store import base, bots, credentials, refresh_attempts, x_apps
from tasks.store.bots import BotRow
from tasks.store.credentials import Lease
from tasks.store.refresh_attempts import Marked, Pending

log = logging.getLogger("vivesphere.debug")

FINGERPRINT_KEY_BYTES = 32
# Of a token that says nothing of when it was issued: what X's live for.
USUAL_LIFE = timedelta(hours=2)
# Each round settles one thing that earlier attempts left; there are never more of them.
ROUNDS = 3
REFRESHED_IN = ("active", "paused")

State = Literal["fresh", "refreshed", "waiting", "conflict", "needs_login"]


class WithoutAppError(RuntimeError):
    """A bot has tokens and no app on X through which they could be refreshed."""


@dataclass(frozen=True)
class Refreshed:
    """How a bot's token stands after a look at it. `said` is for people; `token` serves now, or there is none.

    fresh: nothing was to be done. refreshed: new tokens are there. waiting: what hinders passes by itself, and `said`
    tells it. conflict: somebody else wrote newer tokens meanwhile. needs_login: only the account's owner can help.
    """

    handle: str
    state: State
    said: str
    token: AccessToken | None


@dataclass(frozen=True)
class _Means:
    """What a refresh takes from the vault beforehand, so that nothing is wanted of it between question and escrow."""

    fingerprint_key: bytes = field(repr=False)
    public_key: PublicKey


class _KeptMeans(list[_Means]):
    """The means of this process, once it has them."""


@dataclass(frozen=True)
class _Look:
    """One bot, as vault and database show it under the lease."""

    token: AccessToken | None
    refresh: Secret | None
    pending: Pending | None
    held: Held
    means: _Means

    @property
    def left(self) -> Left | None:
        """What an earlier attempt left to do."""
        if (pending := self.pending) is None:
            return None
        sender = ProcessIdentity(pending.host, pending.boot_id, pending.pid_namespace, pending.pid, pending.start_ticks)
        return Left(
            str(pending.id),
            pending.from_version,
            pending.replay,
            escrowed=pending.sealed is not None,
            settled=pending.settled,
            over=pending.unknown or proven_dead(sender),
            provable=can_judge(sender),
        )


async def fresh(at: Connections, bot: BotRow) -> Refreshed | None:
    """The token in the vault, if it is not due; nothing is locked."""
    access = await asyncio.to_thread(_read, at.kv, access_path(bot.id))
    now = await _now(at)
    if access is None or _is_due(at, bot, access, now):
        return None
    token = access_tokens.read(access)
    return Refreshed(bot.handle, "fresh", f"serves until {_clock(token.expires_at)}", token)


async def waiting(at: Connections, bot: BotRow, why: str) -> Refreshed:
    """Nothing was done now; the token in the vault serves on while it can."""
    access = await asyncio.to_thread(_read, at.kv, access_path(bot.id))
    return Refreshed(bot.handle, "waiting", why, _serving(access, await _now(at)))


async def without_refresh_token(at: Connections, bot: BotRow) -> Refreshed:
    """Its access token serves to its end, and then its owner signs in again."""
    found = await waiting(at, bot, "X gave no refresh token: it is to be asked for offline.access at the sign-in")
    return found if found.token else await _ask_for_login(at, bot, None, found.said)


async def under_lease(at: Connections, bot: BotRow, lease: Lease) -> Refreshed:
    """Do what the bot's tokens need, one thing after the other, while `lease` is held."""
    state: State = "fresh"
    for _ in range(ROUNDS):
        look = await _look(at, bot)
        step = rotation.next_step(look.held, look.left, at.places.settings.credentials.refresh_unknown)
        pending = look.pending
        if step in ("refresh", "replay") and look.refresh is not None:
            return await _refresh(at, bot, lease, look, look.refresh, replay=step == "replay")
        if step == "ask_for_login":
            return await _ask_for_login(at, bot, pending, _why_login(look))
        if step == "wait":
            return Refreshed(bot.handle, "waiting", _why_wait(at, look), look.token)
        if pending is None:
            break
        answered = Answered(pending.id, pending.from_version)
        if step == "finish" and pending.sealed is not None:
            issued = await escrow.opened(at, answered, pending.sealed)
            kept = await escrow.store(at, bot, answered, issued)
            state = "conflict" if kept == "conflict" else "refreshed"
        elif step == "close":
            async with at.transaction() as session:
                await refresh_attempts.close(session, pending.id, "granted")
            state = "refreshed"
        else:
            await escrow.set_aside(at, bot, answered)
            state = "conflict"
    said = "no token serves" if look.token is None else f"serves until {_clock(look.token.expires_at)}"
    return Refreshed(bot.handle, state, said, look.token)


async def fingerprint_of(at: Connections, refresh: Secret) -> bytes:
    """By which the attempts know a refresh token; nobody can tell the token from it."""
    return hmac.digest(
        await asyncio.to_thread(_fingerprint_key, at.kv), refresh.data["refresh_token"].encode(), "sha256"
    )


async def _look(at: Connections, bot: BotRow) -> _Look:
    """R2: both tokens as the vault has them, and what earlier attempts left."""
    access, refresh, means = await asyncio.to_thread(_read_all, at, bot)
    async with at.transaction() as session:
        now = await base.now(session)
        pending = await refresh_attempts.pending_of(session, bot.id)
        spent = refresh is None or await refresh_attempts.is_spent(session, _fingerprint(means, refresh))
    held = Held(
        version=refresh.version if refresh else 0,
        written_by=refresh.attempt_id if refresh else None,
        due=access is None or _is_due(at, bot, access, now),
        ended=_serving(access, now) is None,
        spent=spent,
    )
    return _Look(_serving(access, now), refresh, pending, held, means)


async def _refresh(
    at: Connections, bot: BotRow, lease: Lease, look: _Look, refresh: Secret, *, replay: bool
) -> Refreshed:
    if bot.state not in REFRESHED_IN and not bot.adopting:
        return Refreshed(bot.handle, "waiting", f"the bot is {bot.state}: its tokens are left alone", look.token)
    settings = at.places.settings.credentials
    app = await _app(at, bot)
    # R3. A vault that reads and does not write would leave the answer in the escrow.
    await asyncio.to_thread(at.kv.write, PROBE_PATH, {"probe": secrets.token_hex(8)}, None)
    start_by = ticks() + settings.send_within_seconds
    marked = await _mark(at, bot, lease, look, refresh, replay)
    if marked is None:
        said = "another process took over or sent this token before, or a backup is being made"
        return Refreshed(bot.handle, "waiting", said, look.token)

    def latch() -> None:
        if ticks() >= start_by:
            raise TimeoutError("the start was missed")

    token = SecretStr(refresh.data["refresh_token"])
    try:
        granted = await oauth.refresh(at.x.caller, app, token, latch=latch)
    except InvalidGrant as error:
        return await _refused(at, bot, marked, refresh, error)
    except XError as error:
        return await _not_granted(at, bot, marked, look, error)
    # Counted from the commit before the first byte, so it ends here before it ends at X.
    issued = Issued(
        granted.access_token.get_secret_value(),
        granted.refresh_token.get_secret_value() if granted.refresh_token else None,
        marked.marked_at,
        marked.marked_at + (granted.expires_at - granted.first_byte_at),
        tuple(sorted(granted.scopes)) if granted.scopes is not None else None,
    )
    answered = Answered(marked.id, marked.from_version)
    match await escrow.keep(at, bot, answered, issued, look.means.public_key):
        case "stored":
            return Refreshed(bot.handle, "refreshed", f"serves until {_clock(issued.expires_at)}", issued.token)
        case "sealed":
            said = "refreshed, and the vault is away: the tokens lie in the escrow until the next look"
            return Refreshed(bot.handle, "waiting", said, issued.token)
        case "conflict":
            said = "somebody signed in or refreshed at the same moment; the newer tokens count"
            return Refreshed(bot.handle, "conflict", said, issued.token)
    said = "refreshed, but neither database nor vault took the tokens; once they end the account needs a login"
    return Refreshed(bot.handle, "waiting", said, issued.token)


async def _mark(
    at: Connections, bot: BotRow, lease: Lease, look: _Look, refresh: Secret, replay: bool
) -> Marked | None:
    """R4. Without an acknowledged commit nothing is sent; where it stands all the same, it is said not to be sent."""
    settings, me = at.places.settings, this_process()
    decided = settings.credentials.send_within_seconds + settings.x.deadline_seconds + settings.x.settle_seconds
    try:
        async with at.transaction() as session:
            await credentials.lock(session, lease)
            return await refresh_attempts.add(
                session,
                lease,
                token_hmac=_fingerprint(look.means, refresh),
                from_version=refresh.version,
                replay=replay,
                host=me.host,
                boot_id=me.boot_id,
                pid_namespace=me.pid_namespace,
                pid=me.pid,
                start_ticks=me.start_ticks,
                send_within_seconds=settings.credentials.send_within_seconds,
                settles_within_seconds=decided,
            )
    except PASSING:
        await _end_patiently(at, bot, lease=lease)
        raise


async def _not_granted(at: Connections, bot: BotRow, marked: Marked, look: _Look, error: XError) -> Refreshed:
    """What X did not answer may have spent the token; what it declined, or never got, has not."""
    if isinstance(error, NotSent):
        ended, said = "not_sent", f"not sent, the next look tries again: {error}"
    elif error.outcome_known:
        ended, said = "declined", f"X declined, the next look tries again: {error}"
    else:
        ended, said = "unknown", f"no answer came, so the refresh token may be spent: {error}"
    await _end_patiently(at, bot, marked=marked, ended=ended, problem=error.problem)
    return Refreshed(bot.handle, "waiting", said, look.token)


async def _refused(at: Connections, bot: BotRow, marked: Marked, sent: Secret, error: InvalidGrant) -> Refreshed:
    """invalid_grant: look once more, still under the lease, whether a newer token lies anywhere."""
    try:
        look = await _look(at, bot)
    except VaultError:
        await _end_patiently(at, bot, marked=marked, ended="unknown", problem=error.problem)
        raise
    if look.held.version > sent.version and not look.held.due:
        await _end_patiently(at, bot, marked=marked, ended="refused", problem=error.problem)
        return Refreshed(bot.handle, "conflict", "X refused a token that somebody has replaced meanwhile", look.token)
    if look.pending is not None and look.pending.sealed is not None:
        answered = Answered(look.pending.id, look.pending.from_version)
        issued = await escrow.opened(at, answered, look.pending.sealed)
        await escrow.store(at, bot, answered, issued)
        return Refreshed(bot.handle, "refreshed", f"serves until {_clock(issued.expires_at)}", issued.token)
    why = "X takes the refresh token no more, and no store holds a newer one"
    return await _ask_for_login(at, bot, marked, why, "refused")


async def _ask_for_login(
    at: Connections, bot: BotRow, attempt: Marked | Pending | None, why: str, ended: str = "lost"
) -> Refreshed:
    async with at.transaction() as session:
        if attempt is not None:
            await refresh_attempts.close(session, attempt.id, ended)
        if await bots.lose_login(session, [bot.id]):
            await activity.note(session, ACTOR, "credentials.lost", bot.handle, category="security", why=why)
    log.error("@%s needs to sign in, its posts wait: %s", bot.handle, why)
    return Refreshed(bot.handle, "needs_login", why, None)


async def _end_patiently(
    at: Connections,
    bot: BotRow,
    *,
    lease: Lease | None = None,
    marked: Marked | None = None,
    ended: str = "not_sent",
    problem: str | None = None,
) -> None:
    """Write an outcome down; where the database stays away the attempt stays open, and its sender's death tells."""
    for pause in pauses():
        try:
            async with at.transaction() as session:
                if lease is not None:
                    await refresh_attempts.forget_unsent(session, lease, bot.id)
                if marked is not None:
                    await refresh_attempts.end(session, marked.id, ended, problem)
            return
        except PASSING as error:
            log.warning("the outcome of a refresh of @%s is not written yet: %s", bot.handle, error)
            await asyncio.sleep(pause)


async def _app(at: Connections, bot: BotRow) -> OAuthApp:
    async with at.transaction() as session:
        app = await x_apps.get(session, bot.x_app_id) if bot.x_app_id else None
    if app is None:
        raise WithoutAppError(f"@{bot.handle} has tokens and no app: name one as `app` in its file and import it again")
    secret = (await asyncio.to_thread(at.kv.read, client_path(app.id))).data.get("client_secret")
    return OAuthApp(app.client_id, SecretStr(secret) if secret else None)


async def _now(at: Connections) -> datetime:
    async with at.transaction() as session:
        return await base.now(session)


def _read(kv: Kv, path: str) -> Secret | None:
    try:
        return kv.read(path)
    except Missing:
        return None


def _read_all(at: Connections, bot: BotRow) -> tuple[Secret | None, Secret | None, _Means]:
    kept = at.kept(_KeptMeans, _KeptMeans)
    if not kept:
        kept.append(_Means(_fingerprint_key(at.kv), at.transit.public_key(ESCROW_KEY)))
    return _read(at.kv, access_path(bot.id)), _read(at.kv, refresh_path(bot.id)), kept[0]


def _fingerprint_key(kv: Kv) -> bytes:
    """The one key of all refreshers, made by the first of them."""
    found = _read(kv, FINGERPRINT_PATH)
    if found is None:
        made = {"key": secrets.token_hex(FINGERPRINT_KEY_BYTES)}
        try:
            kv.write_once(FINGERPRINT_PATH, made, 0, secrets.token_hex(8))
        except Conflict:
            log.debug("another process made the key of fingerprints")
        found = kv.read(FINGERPRINT_PATH)
    return bytes.fromhex(found.data["key"])


def _fingerprint(means: _Means, refresh: Secret) -> bytes:
    return hmac.digest(means.fingerprint_key, refresh.data["refresh_token"].encode(), "sha256")


def _is_due(at: Connections, bot: BotRow, access: Secret, now: datetime) -> bool:
    settings = at.places.settings.credentials
    expires_at = access_tokens.read(access).expires_at
    issued = access.data.get("issued_at")
    due_at = rotation.refresh_at(
        bot.id,
        datetime.fromisoformat(issued) if issued else expires_at - USUAL_LIFE,
        expires_at,
        timedelta(seconds=settings.refresh_earliest_seconds),
        timedelta(seconds=settings.refresh_latest_seconds),
    )
    return now >= due_at


def _serving(access: Secret | None, now: datetime) -> AccessToken | None:
    token = None if access is None else access_tokens.read(access)
    return None if token is None or token.expires_at <= now + SPARE else token


def _clock(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%H:%M:%S} UTC"


def _why_login(look: _Look) -> str:
    if look.pending is None:
        return "its access token has ended, and X has had its refresh token already"
    if look.pending.replay:
        return "no answer came to the refresh, nor to its replay"
    return "no answer came to the refresh, so its token may be spent, and it is not to be sent again"


def _why_wait(at: Connections, look: _Look) -> str:
    if look.pending is None:
        return "X has had the refresh token already; the access token serves to its end, then the account needs a login"
    if look.token is not None:
        then = {"replay_once": "then the refresh token is sent once more", "needs_login": "then it needs a login"}
        setting = at.places.settings.credentials.refresh_unknown
        return f"a refresh got no answer; the token serves until {_clock(look.token.expires_at)}, {then[setting]}"
    return "a refresh got no answer, and X or its sender may still be at it"
