"""Settings while the stack runs: look, change, take back; who changed what, when and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from config import overrides
from config.loading import Loaded, fields
from config.overrides import Overlaid
from config.settings import Settings
from tasks.connections import Connections
from tasks.domain.roles import Actor
from tasks.operations import activity
from tasks.store import settings as store
from tasks.store.settings import Changed

# Sections of the supervisor and of Prefect's own programs, which ask no database.
READ_AT_UP = frozenset({"logs", "prefect", "stack"})
SECRET_WORDS = ("secret", "password", "token", "credential", "api_key")


class SettingsRefusedError(ValueError):
    """A change cannot be made; one line for each key that is wrong, and nothing was changed."""


class SettingsStaleError(RuntimeError):
    """Somebody else changed settings meanwhile."""


class NoSuchRevisionError(LookupError):
    """There is no such revision to go back to."""


@dataclass(frozen=True)
class State:
    """The newest revision, and what is in force by it."""

    revision: int
    overlaid: Overlaid


async def state(at: Connections, loaded: Loaded) -> State:
    """What is in force over what this machine's sources say."""
    async with at.transaction() as session:
        # Under one snapshot the two would agree by themselves; this order says at worst an older revision.
        revision = await store.revision(session)
        return State(revision, overrides.overlay(loaded, await store.in_force(session)))


async def change(
    at: Connections, loaded: Loaded, wanted: Mapping[str, Any], actor: Actor, reason: str | None, expected: int | None
) -> int:
    """Set values by dotted key, None takes an override away; all or nothing. Answers the revision.

    Raises SettingsRefusedError, SettingsStaleError, PermissionError.
    """
    async with at.transaction() as session:
        await store.lock(session)
        revision = await store.revision(session)
        if expected is not None and expected != revision:
            raise SettingsStaleError(f"settings are at revision {revision} by now: look again, then change them")
        standing = await store.in_force(session)
        checked = _checked(loaded, standing, wanted, actor, reason)
        changes = {
            key: (standing.get(key, (0, None))[1], new)
            for key, new in checked.items()
            if new != standing.get(key, (0, None))[1]
        }
        if not changes:
            return revision
        revision += 1
        await store.add_revision(session, revision, actor.name, reason)
        await store.add_changes(session, revision, changes)
        for key, (old, new) in changes.items():
            await activity.note(
                session,
                actor,
                "settings.update",
                key,
                before={"value": old},
                after={"value": new},
                revision=revision,
                reason=reason,
            )
        return revision


async def roll_back(
    at: Connections, loaded: Loaded, to: int, actor: Actor, reason: str | None, expected: int | None
) -> int:
    """Make what was in force at revision `to` (0: no override at all) be in force again, as a new revision."""
    async with at.transaction() as session:
        newest = await store.revision(session)
        if not 0 <= to <= newest:
            raise NoSuchRevisionError(f"there is no revision {to}: the newest is {newest}")
        then = await store.in_force(session, to)
        now = await store.in_force(session)
    wanted = {key: then.get(key, (0, None))[1] for key in {*then, *now}}
    differs = {key: value for key, value in wanted.items() if value != now.get(key, (0, None))[1]}
    # What was looked at here is what must stand there.
    return await change(at, loaded, differs, actor, reason, newest if expected is None else expected)


async def history(at: Connections, service: str | None, before: int | None, limit: int) -> Sequence[Changed]:
    """Changes from the newest downwards."""
    async with at.transaction() as session:
        return await store.history(session, service, before, limit)


def _checked(
    loaded: Loaded,
    standing: Mapping[str, tuple[int, Any]],
    wanted: Mapping[str, Any],
    actor: Actor,
    reason: str | None,
) -> dict[str, Any]:
    settings = overrides.overlay(loaded, standing).loaded.settings
    known = {key for key, _ in fields(Settings)}
    problems: list[str] = []
    checked: dict[str, Any] = {}
    for key, value in wanted.items():
        kind = overrides.mark(key)
        if value is None and key in standing and kind is None:
            checked[key] = None
        elif key not in known:
            hint = "a secret is a credential: POST /api/v1/apikeys/store"
            problems.append(f"{_printable(key)}: {hint if _secret(key) else 'there is no such setting'}")
        elif key.partition(".")[0] in READ_AT_UP and value is not None:
            problems.append(f"{key}: is read at `up` alone: set it in the environment or in config/vivesphere.yaml")
        elif kind == "wiring":
            problems.append(f"{key}: wiring is set in the environment or in config/vivesphere.yaml, then `up` again")
        elif kind == "policy" and not actor.may_everywhere("settings.policy"):
            raise PermissionError(f"{key} is policy: an admin changes it")
        elif kind == "policy" and not (reason and reason.strip()):
            problems.append(f"{key}: policy is changed with a reason")
        elif value is None:
            checked[key] = None
        else:
            try:
                settings = overrides.with_value(settings, key, value)
                checked[key] = overrides.value(settings, key)
            except ValidationError as error:
                problems.append(f"{key}: {error.errors()[0]['msg']}")
    if problems:
        raise SettingsRefusedError("; ".join(problems))
    return checked


def _printable(key: str) -> str:
    """A name that nobody has checked: what cannot be sent as text shows as its number."""
    return key[:100].encode("ascii", "backslashreplace").decode()


def _secret(key: str) -> bool:
    return any(word in key.lower() for word in SECRET_WORDS)
