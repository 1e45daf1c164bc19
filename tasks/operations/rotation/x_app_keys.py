"""Client secrets of apps on X, one app at a time: X has no API for it, so a person makes the new one and enters it.

A new secret may end the old one at once, and every token with it. So the app is stopped first, and speaks again once
the new secret is in use.
"""

import asyncio
import secrets
from collections.abc import Sequence
from uuid import UUID

from pydantic import SecretStr

from blocks.vault.errors import Missing
from blocks.vault.kv import Secret
from blocks.x import oauth
from blocks.x.errors import InvalidGrant, Unauthorized, XError
from blocks.x.oauth import OAuthApp
from config.settings import Rotation as RotationSettings
from config.settings import XAppKeys as XAppKeysSettings
from tasks.connections import Connections
from tasks.domain.credentials import client_path, next_client_path
from tasks.domain.roles import Actor, system
from tasks.operations import activity, stops
from tasks.operations.rotation.kind import Facts, NeedsPersonError, NotYet, Subject, TestFailedError
from tasks.operations.stops import Target
from tasks.operations.x_apps import NoSuchAppError
from tasks.store import base, bots, credentials, rotations, x_apps
from tasks.store import stops as stop_rows
from tasks.store.rotations import Version
from tasks.store.x_apps import AppRow

NAME = "x_app_keys"
ROTATION = system("rotation")


class NotAskedForError(RuntimeError):
    """No rotation waits for a new secret of this app."""


class CannotRollBackError(RuntimeError):
    """The secret before cannot be used again; the message says why."""


class XAppKeys:
    """The recipe's steps for each app that has a client secret."""

    name = NAME

    def rules(self, settings: RotationSettings) -> XAppKeysSettings:
        """Its section of the settings."""
        return settings.x_app_keys

    async def subjects(self, at: Connections) -> Sequence[Subject]:
        """Every app whose secret is in the vault, by name."""
        async with at.transaction() as session:
            rows = [row for row in await credentials.inventory(session, None) if row.kind == "x_app_client"]
            counted = await bots.count_by_app(session)
        return [
            Subject(row.owner, row.issued_at, _serves(counted.get(row.x_app_id, 0)), {"kv_version": row.version})
            for row in rows
        ]

    async def create(self, at: Connections, version: Version) -> Facts:
        """Stop the app, and wait until a person has made a new secret and entered it."""
        await _wait_for_turn(at, version)
        app = await _app(at, version.subject)
        stop_id = await _stopped(at, app, version)
        facts = {"stop_id": str(stop_id)}
        if await _entered(at, app, version) is None:
            said = (
                f"the app {app.name} is stopped. Make a new client secret in X's developer portal, then enter it with "
                f"`vivesphere credentials provide {app.name}`"
            )
            raise NeedsPersonError(said, facts)
        used = (await asyncio.to_thread(at.kv.metadata, client_path(app.id))).version
        return {**facts, "kv_before": used, "kv_version": used + 1}

    async def set(self, at: Connections, version: Version) -> None:
        """X made it accepted when the person made it."""

    async def test(self, at: Connections, version: Version) -> Facts:
        """Ask X whether it takes the new secret, and whether it still takes the one before."""
        app = await _app(at, version.subject)
        new = await _entered(at, app, version)
        if new is None:
            raise TestFailedError("the new secret is not in the vault any more")
        if not await accepted(at, app, new):
            raise TestFailedError(
                f"X does not take the new secret; enter it again with `vivesphere credentials provide {app.name}`"
            )
        old = await asyncio.to_thread(at.kv.read, client_path(app.id), version.facts["kv_before"])
        return {"old_works": await accepted(at, app, SecretStr(old.data["client_secret"]))}

    async def finish(self, at: Connections, version: Version) -> None:
        """Put it where every reader looks, and let the app speak again."""
        app = await _app(at, version.subject)
        new = await _entered(at, app, version)
        if new is not None:
            await _use(at, app, new, version.facts["kv_before"], f"{version.id}/finish")
        await asyncio.to_thread(at.kv.delete, next_client_path(app.id))
        await _lift(at, version)

    async def remove(self, at: Connections, version: Version) -> None:
        """Destroy the one before in the vault; or forget what was entered, and let the app speak on."""
        app = await _app(at, version.subject)
        if version.state == "previous":
            await asyncio.to_thread(at.kv.destroy, client_path(app.id), version.facts["kv_version"])
            return
        await asyncio.to_thread(at.kv.delete, next_client_path(app.id))
        await _lift(at, version)


async def provide(at: Connections, name: str, secret: SecretStr, actor: Actor) -> int:
    """Take the new secret that a person made straight to the vault; answers which version waits for it.

    Raises NoSuchAppError, NotAskedForError.
    """
    app = await _app(at, name)
    async with at.transaction() as session:
        pending = await rotations.pending(session, NAME, name)
    if pending is None or pending.state == "tested" or pending.given_up_by is not None:
        raise NotAskedForError(
            f"no rotation waits for a secret of {name}: begin one with `vivesphere rotate {NAME} {name}`"
        )
    if "stop_id" not in pending.facts:
        raise NotAskedForError(f"{name} is not stopped yet, and a new secret may end the one in use: wait for the run")
    data = {"client_secret": secret.get_secret_value(), "for_version": str(pending.id)}
    await asyncio.to_thread(at.kv.write, next_client_path(app.id), data, None)
    async with at.transaction() as session:
        await activity.note(
            session, actor, "credentials.provide", f"{NAME}/{name}", "security", version=pending.version
        )
    return pending.version


async def roll_back(at: Connections, name: str, actor: Actor, reason: str) -> int:
    """Use the secret before again, where X took it when the new one was tested and takes it now; answers its version.

    Raises NoSuchAppError, CannotRollBackError.
    """
    app = await _app(at, name)
    async with at.transaction() as session:
        standing = {
            version.state: version for version in await rotations.standing(session, NAME) if version.subject == name
        }
    current, previous = standing.get("current"), standing.get("previous")
    if current is None or previous is None or len(standing) > 2:
        raise CannotRollBackError(f"{name} has no secret before that is within its grace, or another is on its way")
    if not current.facts.get("old_works"):
        raise CannotRollBackError(f"X did not take the old secret of {name} any more when the new one was tested")
    old = await asyncio.to_thread(at.kv.read, client_path(app.id), previous.facts["kv_version"])
    secret = SecretStr(old.data["client_secret"])
    if not await accepted(at, app, secret):
        raise CannotRollBackError(f"X took the old secret of {name} when the new one was tested, and takes it no more")
    now = await asyncio.to_thread(at.kv.metadata, client_path(app.id))
    number = await _use(at, app, secret, now.version, f"{previous.id}/rollback/{current.version}")
    async with at.transaction() as session:
        await rotations.roll_back(session, current.id, previous.id, {**previous.facts, "kv_version": number})
        await activity.note(
            session,
            actor,
            "credentials.rollback",
            f"{NAME}/{name}",
            "security",
            version=previous.version,
            reason=reason,
        )
    return previous.version


async def accepted(at: Connections, app: AppRow, secret: SecretStr) -> bool:
    """Whether X takes this secret: it is shown with a refresh token that nobody has, so nothing is spent.

    X looks at the app first: it refuses the token alone where it knows the app. Raises NotYet where it says neither.
    """
    try:
        await oauth.refresh(at.x.caller, OAuthApp(app.client_id, secret), SecretStr(secrets.token_urlsafe(32)))
    except InvalidGrant:
        return True
    except Unauthorized:
        return False
    except XError as error:
        problem = type(error).__name__
    else:
        return True
    raise NotYet(f"X does not say whether it takes the secret ({problem}); it is asked again")


async def _app(at: Connections, name: str) -> AppRow:
    async with at.transaction() as session:
        found = {app.name: app for app in await x_apps.list_all(session)}
    if name not in found:
        raise NoSuchAppError(name)
    return found[name]


async def _wait_for_turn(at: Connections, version: Version) -> None:
    """One app at a time: where a new secret ends tokens, that is the bots of one app, and a person sees what it did."""
    async with at.transaction() as session:
        others = [one for one in await rotations.standing(session, NAME) if one.state not in ("current", "previous")]
    first = min(others, key=lambda one: (one.begun_at, one.id), default=version)
    if first.id != version.id:
        raise NotYet(f"one app at a time, and {first.subject} is at it")


async def _stopped(at: Connections, app: AppRow, version: Version) -> UUID:
    """The stop of this rotation: set once, also where the run that set it died before it wrote that down."""
    reason = f"its keys are rotated (version {version.version}, {version.id})"
    async with at.transaction() as session:
        for stop in await stop_rows.standing(session):
            if stop.reason == reason:
                return stop.id
    return (await stops.stop(at, Target("app", app.name), reason, ROTATION)).stop.id


async def _lift(at: Connections, version: Version) -> None:
    if "stop_id" not in version.facts:
        return
    async with at.transaction() as session:
        for stop_id in await stop_rows.lift(session, [UUID(version.facts["stop_id"])], ROTATION.name):
            await activity.note(session, ROTATION, "stops.lift", version.subject, scope="app", stop=str(stop_id))


async def _entered(at: Connections, app: AppRow, version: Version) -> SecretStr | None:
    """What a person has entered for this very version."""
    try:
        found: Secret = await asyncio.to_thread(at.kv.read, next_client_path(app.id))
    except Missing:
        return None
    return SecretStr(found.data["client_secret"]) if found.data.get("for_version") == str(version.id) else None


async def _use(at: Connections, app: AppRow, secret: SecretStr, newest: int, attempt: str) -> int:
    """Write the secret to where readers look; answers its version in the vault."""
    data = {"client_id": app.client_id, "client_secret": secret.get_secret_value()}
    number = await asyncio.to_thread(at.kv.write_once, client_path(app.id), data, newest, attempt)
    async with at.transaction() as session:
        await credentials.put(
            session,
            kind="x_app_client",
            vault_path=client_path(app.id),
            version=number,
            issued_at=await base.now(session),
            x_app_id=app.id,
        )
    return number


def _serves(count: int) -> str:
    return f"posts and tokens of {count} bot{'' if count == 1 else 's'}"
