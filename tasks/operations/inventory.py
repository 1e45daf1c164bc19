"""The inventory of credentials: what there is, how old, until when, what is next; a secret is shown once, if at all."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import SecretStr

from tasks.connections import Connections
from tasks.domain.credentials import State, client_path, state_of
from tasks.domain.roles import Actor
from tasks.domain.rotation import refresh_at
from tasks.operations import activity
from tasks.operations.rotation import recipe, x_app_keys, x_user_tokens
from tasks.operations.rotation.kinds import KINDS
from tasks.store import audit, base, credentials, rotations
from tasks.store.credentials import InventoryRow
from tasks.store.rotations import Version


class NoSuchCredentialError(LookupError):
    """There is no credential of this kind and owner."""


class NotShownError(RuntimeError):
    """The secret is not given out; the message says why and what to do."""


@dataclass(frozen=True)
class Entry:
    """One credential, and never what it is; `said` is what keeps a version on its way where it is.

    `rotated_at` is absent until it was rotated, `next_at` where nobody changes it by itself.
    """

    kind: str
    owner: str
    version: int
    issued_at: datetime
    expires_at: datetime | None
    rotated_at: datetime | None
    next_at: datetime | None
    state: State
    said: str | None = None


@dataclass(frozen=True)
class Planned:
    """What is due, in the order in which it is done; `serves` stops where it breaks."""

    kind: str
    owner: str
    step: str
    due_at: datetime | None
    serves: str


@dataclass(frozen=True)
class Shown:
    """A secret that a person is shown this once."""

    version: int
    secret: SecretStr = field(repr=False)


async def list_all(at: Connections, actor: Actor) -> list[Entry]:
    """Every credential that the actor may know of, by kind and owner; whoever has a label sees those of its bots."""
    within = actor.within("credentials.read")
    async with at.transaction() as session:
        now = await base.now(session)
        rows = await credentials.inventory(session, within)
        versions = await rotations.standing(session) if within is None else []
    # The inventory of the vault has those in use by itself.
    versions = [one for one in versions if (one.kind, one.state) != (x_app_keys.NAME, "current")]
    entries = [_of_row(at, row, now) for row in rows] + [_of_version(at, version) for version in versions]
    return sorted(entries, key=lambda entry: (entry.kind, entry.owner.lower(), entry.version))


async def plan(at: Connections) -> list[Planned]:
    """What the next run does: tokens that fall due, then each kind by how little it reaches. Changes nothing.

    A version that fails its test stops the run, and whatever follows it in the plan is left alone.
    """
    tokens = [
        Planned(
            "x_user_tokens", f"@{one.handle}", "settle" if one.settle else "refresh", None, f"posts of @{one.handle}"
        )
        for one in await x_user_tokens.due(at)
    ]
    return tokens + [
        Planned(one.kind, one.subject.name, one.step, one.due_at, one.subject.serves) for one in await recipe.plan(at)
    ]


async def reveal(at: Connections, kind: str, owner: str, reason: str, actor: Actor) -> Shown:
    """Show the client secret of an app, each version once; who asked and why is audited before it is given out.

    Nothing else is shown: tokens of bots and keys of services may be written by the role that faces people, and not
    read by it. Raises NoSuchCredentialError, NotShownError.
    """
    async with at.transaction() as session:
        found = [row for row in await credentials.inventory(session, None) if (row.kind, row.owner) == (kind, owner)]
    if not found:
        raise NoSuchCredentialError(f"there is no {kind} of {owner}; `vivesphere credentials list` shows them all")
    row = found[0]
    if row.kind != "x_app_client" or row.x_app_id is None:
        raise NotShownError(f"no role that faces people may read a {kind}: it is replaced, never shown")
    secret = await asyncio.to_thread(at.kv.read, client_path(row.x_app_id), row.version)
    if "client_secret" not in secret.data:
        raise NotShownError(f"{owner} is a public client: it has no secret")
    async with at.transaction() as session:
        await credentials.hold(session, row.id)
        if await audit.has(session, "credentials.reveal", f"{kind}/{owner}", {"version": row.version}):
            raise NotShownError(f"version {row.version} was shown before, which the audit tells: rotate it instead")
        await activity.note(
            session, actor, "credentials.reveal", f"{kind}/{owner}", "security", version=row.version, reason=reason
        )
    return Shown(row.version, SecretStr(secret.data["client_secret"]))


def _of_row(at: Connections, row: InventoryRow, now: datetime) -> Entry:
    next_at = None
    if row.kind == "x_user_access" and row.bot_id is not None and row.expires_at is not None:
        settings = at.places.settings.credentials
        earliest = timedelta(seconds=settings.refresh_earliest_seconds)
        latest = timedelta(seconds=settings.refresh_latest_seconds)
        next_at = refresh_at(row.bot_id, row.issued_at, row.expires_at, earliest, latest)
    rotated_at = row.issued_at if row.version > 1 else None
    state = state_of(row.kind, row.bot_state, row.expires_at, now)
    return Entry(row.kind, row.owner, row.version, row.issued_at, row.expires_at, rotated_at, next_at, state)


def _of_version(at: Connections, version: Version) -> Entry:
    used_at = version.current_at or version.begun_at
    kind = KINDS.get(version.kind)
    due = used_at + recipe.rules(at, kind).max_age if kind and version.state == "current" else None
    states: Mapping[str, State] = {"current": "in use", "previous": "ends soon"}
    return Entry(
        version.kind,
        version.subject,
        version.version,
        version.begun_at,
        version.remove_at,
        used_at if version.version > 1 and version.state == "current" else None,
        due,
        states.get(version.state, "on its way"),
        version.problem,
    )
