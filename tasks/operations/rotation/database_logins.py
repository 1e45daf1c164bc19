"""The login of our processes at the database: a role that the vault's engine makes, renews, and drops.

All processes share one, which stands under one label in the vault; each looks there every `postgres.login_seconds` and
goes over to a new one between two statements. The login hangs on a token that nobody holds: known by its accessor, it
is renewed by every run, and once it is revoked, the engine ends the login's sessions and drops the role. Where it ended
unrenewed, the label goes back to the login that `up` keeps, until the next one is made.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg

from blocks.postgres.engine import Login
from blocks.vault.errors import Denied, Missing, Refused
from config.settings import DatabaseLogins as DatabaseLoginsSettings
from config.settings import Rotation as RotationSettings
from tasks.connections import APP_LOGIN_PATH, KEPT_LOGIN_PATH, Connections
from tasks.operations.rotation.kind import Facts, Subject, TestFailedError
from tasks.store import rotations
from tasks.store.rotations import Version

SUBJECT = "app"
# Where a new login waits until the label moves to it.
NEXT_LOGIN_PATH = "postgres/login-next"
# The login that `up` keeps is no engine's: there is always a better one.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class DatabaseLogins:
    """The recipe's steps for the one login that gateway, worker and clerk share."""

    name = "database_logins"

    def rules(self, settings: RotationSettings) -> DatabaseLoginsSettings:
        """Its section of the settings."""
        return settings.database_logins

    async def subjects(self, at: Connections) -> Sequence[Subject]:
        """The login under the label; none where the vault's engine makes none."""
        if not at.places.settings.postgres.logins_by_vault:
            return []
        found, kept = await asyncio.to_thread(_label, at)
        since = NEVER
        if found.user != kept.user:
            since = (await asyncio.to_thread(at.kv.metadata, APP_LOGIN_PATH)).updated_at
        return [Subject(SUBJECT, since, "everything that reads or writes the database")]

    async def create(self, at: Connections, version: Version) -> Facts:
        """Have a login made. The token it hangs on is noted before it is: what is cut off after that is ended here."""
        if "accessor" in version.facts:
            await asyncio.to_thread(at.leases.revoke, version.facts["accessor"])
        holder = await asyncio.to_thread(at.leases.holder)
        noted = {"accessor": holder.accessor}
        async with at.transaction() as session:
            await rotations.jot(session, version, noted, None)
        made = await asyncio.to_thread(at.leases.database_login, holder, SUBJECT)
        secret = {"username": made.username, "password": made.password}
        await asyncio.to_thread(at.kv.write, NEXT_LOGIN_PATH, secret, None)
        return {**noted, "username": made.username, "lease_id": made.lease_id}

    async def set(self, at: Connections, version: Version) -> None:
        """Nothing: the engine has told the database already."""

    async def test(self, at: Connections, version: Version) -> None:
        """Connect by it, and do what our processes do."""
        login = await self._next(at, version)
        try:
            async with await at.server.connect(login, "vivesphere rotation") as connection:
                await connection.execute("SELECT app_now() FROM posts LIMIT 1")
        except psycopg.Error as error:
            # Away, or refused: only text tells which, and our own pool knows.
            async with at.transaction() as session:
                await rotations.pending(session, self.name, version.subject)
            raise TestFailedError(f"the database does not let the new login work ({type(error).__name__})") from None

    async def finish(self, at: Connections, version: Version) -> None:
        """Move the label: every process goes over within moments, and the login before stays good for its grace."""
        login = await self._next(at, version)
        found, _ = await asyncio.to_thread(_label, at)
        if found != login:
            await asyncio.to_thread(_point, at, login)

    async def remove(self, at: Connections, version: Version) -> None:
        """Revoke the token: the engine ends the login's sessions and drops its role."""
        if "accessor" in version.facts:
            await asyncio.to_thread(at.leases.revoke, version.facts["accessor"])

    async def _next(self, at: Connections, version: Version) -> Login:
        found = await asyncio.to_thread(at.kv.read, NEXT_LOGIN_PATH)
        if found.data["username"] != version.facts["username"]:
            raise TestFailedError("the vault does not hold the new login any more: give this version up")
        return Login(found.data["username"], found.data["password"])


async def renew(at: Connections) -> int:
    """Renew the logins in use, on their way or within their grace; answers how many.

    Where the one in use has ended, the label goes back to the login that `up` keeps, and a new one is begun.
    """
    async with at.transaction() as session:
        standing = await rotations.standing(session, DatabaseLogins.name)
    renewed = 0
    for version in standing:
        if "lease_id" not in version.facts:
            continue
        try:
            await asyncio.to_thread(at.leases.renew, version.facts["accessor"], version.facts["lease_id"])
            renewed += 1
        except (Denied, Missing, Refused):
            if version.state == "current":
                await _without_lease(at, version)
    return renewed


async def _without_lease(at: Connections, version: Version) -> None:
    found, kept = await asyncio.to_thread(_label, at)
    if found.user == version.facts["username"]:
        await asyncio.to_thread(_point, at, kept)
    async with at.transaction() as session:
        await rotations.gone(session, version.id)
        await rotations.begin(session, version.kind, version.subject, "a lease that ended")


def _label(at: Connections) -> tuple[Login, Login]:
    """The login that everybody uses, and the one that `up` keeps."""
    found, kept = (at.kv.read(path).data for path in (APP_LOGIN_PATH, KEPT_LOGIN_PATH))
    return Login(found["username"], found["password"]), Login(kept["username"], kept["password"])


def _point(at: Connections, login: Login) -> None:
    at.kv.write(APP_LOGIN_PATH, {"username": login.user, "password": login.password}, None)
