"""The one recipe of rotation: create, set, test, finish; and the version before is removed after its grace.

What is done stands in the table `rotations` before the next step begins, under a lease that another process may take
over once its time is up. Readers follow one label in the vault, which `finish` moves; the table only says how far we
are.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from blocks.vault.errors import VaultError
from tasks.connections import Connections
from tasks.domain.roles import Actor, system
from tasks.domain.versions import LEADS_TO, NEXT, Held, Rules, State, Step, due_at, next_step
from tasks.operations import activity
from tasks.operations.patience import PASSING
from tasks.operations.rotation.kind import Facts, Kind, Method, NeedsPersonError, NotYet, Subject, TestFailedError
from tasks.operations.rotation.kinds import KINDS
from tasks.store import base, rotations
from tasks.store.rotations import Version

log = logging.getLogger("vivesphere.debug")

ROTATION = system("rotation")
# Beside the facts of the kind: what stops where the credential breaks, for whoever cannot ask the vault.
SERVES = "serves"
Found = Literal["rotated", "removed", "abandoned", "waiting", "person", "failed"]


class NoSuchKindError(LookupError):
    """Nothing of this kind is rotated by the recipe; the message names the kinds there are."""


class NoSuchSubjectError(LookupError):
    """There is no such credential of this kind."""


class NotNowError(RuntimeError):
    """The credential cannot be rotated now; the message says why."""


class _TakenOverError(RuntimeError):
    """The lease ran out, and another process goes on with the version."""


@dataclass(frozen=True)
class Planned:
    """One credential: how it stands, what is next, and what stops where it breaks."""

    kind: str
    subject: Subject
    current: Version | None
    pending: Version | None
    previous: Version | None
    due_at: datetime
    step: Step


@dataclass(frozen=True)
class Due:
    """A credential that has something to do now."""

    kind: str
    subject: str


@dataclass(frozen=True)
class Done:
    """What became of one credential in this run; no secret is in it."""

    kind: str
    subject: str
    found: Found
    said: str


@dataclass
class _Standing:
    current: Version | None = None
    pending: Version | None = None
    previous: Version | None = None

    def put(self, version: Version) -> None:
        if version.state == "current":
            self.current = version
        elif version.state == "previous":
            self.previous = version
        else:
            self.pending = version


async def plan(at: Connections) -> list[Planned]:
    """Every credential that the recipe rotates, in the order in which it would: kinds as in KINDS."""
    found: list[Planned] = []
    for kind in KINDS.values():
        found += await _planned(at, kind)
    return found


async def due(at: Connections) -> list[Due]:
    """Credentials that have something to do now: what was given up, then in the order of the plan, so that what a
    person wants ended does not wait behind a test that fails."""
    wanted = sorted(await plan(at), key=lambda one: one.step != "give up")
    return [Due(one.kind, one.subject.name) for one in wanted if one.step != "rest"]


async def rotate(at: Connections, wanted: Iterable[Due]) -> list[Done]:
    """Take each as far as it goes, one after the other; where a new version fails its test, the rest is left alone."""
    done: list[Done] = []
    for one in wanted:
        done.append(await rotate_one(at, one))
        if done[-1].found == "failed":
            break
    return done


async def rotate_one(at: Connections, wanted: Due) -> Done:
    """Take one credential as far as it goes now. What is away is waited for by a later run."""
    kind = _kind(wanted.kind)
    try:
        return await _rotate(at, kind, wanted)
    except _TakenOverError:
        return Done(wanted.kind, wanted.subject, "waiting", "another process took it over")
    except PASSING as error:
        return Done(wanted.kind, wanted.subject, "waiting", _away(error))


async def ask(at: Connections, kind_name: str, subject: str, actor: Actor, reason: str) -> Version:
    """Let a person begin a rotation before its time; the next run takes it up.

    Raises NoSuchKindError, NoSuchSubjectError, PermissionError where the settings leave it to another role, and
    NotNowError while a version is on its way or the one before is within its grace.
    """
    _may(at, _kind(kind_name), actor)
    async with at.transaction() as session:
        standing = _by_subject(await rotations.standing(session, kind_name))
        if subject not in standing:
            known = ", ".join(standing) or "none; the next run of rotate-credentials looks"
            raise NoSuchSubjectError(f"there is no {kind_name} named {subject}; there are: {known}")
        pending, previous = standing[subject].pending, standing[subject].previous
        if pending is not None:
            raise NotNowError(f"version {pending.version} of {subject} is on its way ({pending.state})")
        if previous is not None:
            raise NotNowError(
                f"version {previous.version} of {subject} stays good until {previous.remove_at:%Y-%m-%d %H:%M} UTC; "
                "another one may begin after that"
            )
        if await rotations.begin(session, kind_name, subject, actor.name) is None:
            raise NotNowError(f"somebody else has just begun to rotate {subject}")
        await activity.note(session, actor, "credentials.rotate", f"{kind_name}/{subject}", "security", reason=reason)
        begun = await rotations.pending(session, kind_name, subject)
    if begun is None:
        raise NotNowError(f"the rotation of {subject} has ended already")
    return begun


async def abandon(at: Connections, kind_name: str, subject: str, actor: Actor, reason: str) -> Version:
    """Let a person give up a version on its way: the next run ends it, and the one in use stays.

    Raises as `ask`: NotNowError where none is on its way, or it is tested and about to be used.
    """
    _may(at, _kind(kind_name), actor)
    async with at.transaction() as session:
        given_up = await rotations.give_up(session, kind_name, subject, actor.name)
        if given_up is None:
            pending = await rotations.pending(session, kind_name, subject)
            if pending is None:
                raise NotNowError(f"no version of {subject} is on its way")
            raise NotNowError(f"version {pending.version} of {subject} is tested and about to be used: rotate it anew")
        await activity.note(
            session,
            actor,
            "credentials.abandon",
            f"{kind_name}/{subject}",
            "security",
            version=given_up.version,
            reason=reason,
        )
    return given_up


def rules(at: Connections, kind: Kind) -> Rules:
    """What the settings say of a kind, as the rules of versions take it."""
    wanted = kind.rules(at.places.settings.rotation)
    return Rules(
        timedelta(seconds=wanted.max_age_seconds),
        timedelta(seconds=wanted.grace_seconds),
        wanted.schedule == "when_due",
    )


def _may(at: Connections, kind: Kind, actor: Actor) -> None:
    who = kind.rules(at.places.settings.rotation).who_may
    if not any(grant.label is None and grant.role in (who, "admin") for grant in actor.grants):
        raise PermissionError(f"{actor.name} may not rotate {kind.name}: that takes the role {who}, see `rotation`")


def _away(error: Exception) -> str:
    """What is away, for a page: the vault's errors say it; the driver's words may name what is nobody's business."""
    if isinstance(error, VaultError):
        return f"the vault: {error}"
    return f"the database or the network is away ({type(error).__name__})"


def _kind(name: str) -> Kind:
    try:
        return KINDS[name]
    except KeyError:
        raise NoSuchKindError(f"no kind {name}; there are: {', '.join(KINDS)}") from None


async def _planned(at: Connections, kind: Kind) -> list[Planned]:
    try:
        subjects: Sequence[Subject] | None = await kind.subjects(at)
    except VaultError as error:
        # The vault is away, or does not let this role look: the table says what the last run found.
        log.info("%s: %s", kind.name, error)
        subjects = None
    async with at.transaction() as session:
        now = await base.now(session)
        standing = _by_subject(await rotations.standing(session, kind.name))
        if subjects is None:
            subjects = [_as_noted(name, found, now) for name, found in standing.items()]
        for one in subjects:
            if one.name not in standing:
                facts = {**one.facts, SERVES: one.serves}
                await rotations.adopt(session, kind.name, one.name, one.since, facts)
        standing = _by_subject(await rotations.standing(session, kind.name))
    found = []
    for one in subjects:
        held = standing.get(one.name, _Standing())
        known = Held(
            held.pending.state if held.pending else None,
            held.pending is not None and held.pending.given_up_by is not None,
            (held.current.current_at if held.current else None) or one.since,
            held.previous.remove_at if held.previous else None,
        )
        what = rules(at, kind)
        step = next_step(known, what, now)
        found.append(Planned(kind.name, one, held.current, held.pending, held.previous, due_at(known, what), step))
    return found


def _as_noted(name: str, found: _Standing, now: datetime) -> Subject:
    """A credential as the table has it."""
    version = found.current or found.pending or found.previous
    facts = version.facts if version else {}
    return Subject(name, found.current.begun_at if found.current else now, str(facts.get(SERVES, "")), facts)


def _by_subject(versions: Iterable[Version]) -> Mapping[str, _Standing]:
    found: dict[str, _Standing] = {}
    for version in versions:
        found.setdefault(version.subject, _Standing()).put(version)
    return found


async def _rotate(at: Connections, kind: Kind, wanted: Due) -> Done:
    planned = next((one for one in await _planned(at, kind) if one.subject.name == wanted.subject), None)
    if planned is None or planned.step == "rest":
        return Done(kind.name, wanted.subject, "waiting", "nothing is due any more")
    if planned.step == "remove" and planned.previous is not None:
        return await _remove(at, kind, planned.previous)
    if planned.pending is not None:
        version_id: UUID | None = planned.pending.id
    else:
        async with at.transaction() as session:
            version_id = await rotations.begin(session, kind.name, wanted.subject, ROTATION.name)
    if version_id is None:
        return Done(kind.name, wanted.subject, "waiting", "another process has just begun it")
    async with _leased(at, version_id) as held:
        if held is None:
            return Done(kind.name, wanted.subject, "waiting", "another process is at it")
        return await _walk(at, kind, held, {SERVES: planned.subject.serves})


async def _walk(at: Connections, kind: Kind, version: Version, serves: Facts) -> Done:
    """From where the version is to the end, or to where it must wait."""
    methods: Mapping[Step, Method] = {
        "create": kind.create,
        "set": kind.set,
        "test": kind.test,
        "finish": kind.finish,
    }
    subject, held = version.subject, version
    while held.state in NEXT:
        if held.given_up_by is not None:
            return await _give_up(at, kind, held)
        step = NEXT[held.state]
        try:
            facts = {**serves, **(await methods[step](at, held) or {})}
        except NotYet as error:
            await _jot(at, held, str(error), error.facts)
            found: Found = "person" if isinstance(error, NeedsPersonError) else "waiting"
            return Done(kind.name, subject, found, f"{step}: {error}")
        except TestFailedError as error:
            await _jot(at, held, str(error))
            return Done(kind.name, subject, "failed", f"{step}: {error}; the version in use stays")
        except PASSING as error:
            with suppress(*PASSING):
                await _jot(at, held, f"{step}: {type(error).__name__}")
            raise
        async with at.transaction() as session:
            if step == "finish":
                await rotations.replaced(session, kind.name, subject, rules(at, kind).grace)
                await activity.note(
                    session,
                    ROTATION,
                    "credentials.rotated",
                    f"{kind.name}/{subject}",
                    "security",
                    version=held.version,
                    asked_by=held.asked_by,
                )
            held = await _step(session, held, LEADS_TO[step], facts)
    return Done(kind.name, subject, "rotated", f"version {held.version} is in use")


async def _give_up(at: Connections, kind: Kind, held: Version) -> Done:
    """End a version that no reader has seen: whoever saw that it was given up, or comes after it, does not finish."""
    try:
        await kind.remove(at, held)
    except NotYet as error:
        await _jot(at, held, str(error), error.facts)
        return Done(kind.name, held.subject, "waiting", f"give up: {error}")
    async with at.transaction() as session:
        await _step(session, held, LEADS_TO["give up"], {})
        await activity.note(
            session,
            ROTATION,
            "credentials.abandoned",
            f"{kind.name}/{held.subject}",
            "security",
            version=held.version,
            asked_by=held.given_up_by,
        )
    return Done(kind.name, held.subject, "abandoned", f"version {held.version} is given up; the one in use stays")


async def _step(session: AsyncSession, held: Version, state: State, facts: Facts) -> Version:
    """Note a step; raises _TakenOverError, which undoes the transaction, where the lease is another's by now."""
    stepped = await rotations.step(session, held, state, facts)
    if stepped is None:
        raise _TakenOverError
    return stepped


async def _remove(at: Connections, kind: Kind, previous: Version) -> Done:
    async with _leased(at, previous.id) as held:
        if held is None:
            return Done(kind.name, previous.subject, "waiting", "another process is at it")
        try:
            await kind.remove(at, held)
        except NotYet as error:
            await _jot(at, held, str(error), error.facts)
            return Done(kind.name, previous.subject, "waiting", f"remove: {error}")
        async with at.transaction() as session:
            await _step(session, held, "removed", {})
            await activity.note(
                session,
                ROTATION,
                "credentials.removed",
                f"{kind.name}/{held.subject}",
                "security",
                version=held.version,
            )
    return Done(kind.name, previous.subject, "removed", f"version {previous.version} has ended")


async def _jot(at: Connections, held: Version, problem: str, facts: Mapping[str, object] | None = None) -> None:
    async with at.transaction() as session:
        await rotations.jot(session, held, facts or {}, problem)


@asynccontextmanager
async def _leased(at: Connections, version_id: UUID) -> AsyncIterator[Version | None]:
    """The version under a lease that is kept up for as long as the block runs; None where another has it."""
    seconds = at.places.settings.rotation.lease_seconds
    async with at.transaction() as session:
        held = await rotations.lease(session, version_id, seconds)
    if held is None:
        yield None
        return
    keeping = asyncio.create_task(_keep(at, held, seconds))
    try:
        yield held
    finally:
        keeping.cancel()
        with suppress(*PASSING):  # it ends by itself
            async with at.transaction() as session:
                await rotations.release(session, held)


async def _keep(at: Connections, held: Version, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds / 3)
        with suppress(*PASSING):
            async with at.transaction() as session:
                await rotations.extend(session, held, seconds)
