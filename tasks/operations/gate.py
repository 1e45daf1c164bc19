"""The gate at work: what the fleet says is looked up, every rule is asked, and the verdict is kept with what it saw.

Who judges first takes the locks of what could be alike: of two posts that say the same, and are judged at the same
moment, the second sees the first.
"""

import asyncio
import hashlib
import inspect
import logging
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from config import loading, yaml_file
from config.yaml_file import YamlFileError
from tasks.connections import Connections
from tasks.domain import near_duplicates, personas, posts, text_length
from tasks.domain.near_duplicates import bands, normal_form
from tasks.domain.personas import Persona
from tasks.domain.policy import amplification, finding, gate, policies, words
from tasks.domain.policy.finding import Account, Case, Said, Seen, Trend
from tasks.domain.policy.gate import RuleFailedError, Verdict
from tasks.domain.policy.policies import Policies
from tasks.domain.posts import Draft, fingerprint
from tasks.store import approvals, base, bots, fingerprints, trends, verdicts
from tasks.store import personas as stored_personas
from tasks.store.bots import BotRow
from tasks.store.fingerprints import Print, Unprinted

log = logging.getLogger("vivesphere.debug")

# What could be alike is judged by one at a time in so many stripes: two posts that differ seldom wait for each other.
STRIPES = 128
# What a verdict hangs on besides the rules themselves.
_JUDGING = (finding, gate, near_duplicates, personas, policies, posts, text_length, words)


class PolicyError(RuntimeError):
    """The gate's settings cannot be read, so that nothing can be judged; the message names file and line."""


@dataclass(frozen=True)
class Policy:
    """What holds: the settings, and the version to which every verdict is bound, made of the rules and of these."""

    policies: Policies
    version: str


def in_force(at: Connections) -> Policy:
    """The policy of this process, read once. Raises PolicyError."""
    return at.kept(Policy, read)


def read() -> Policy:
    """The policy as code and `config/policies.yaml` have it. Raises PolicyError."""
    path = loading.APP_ROOT / "config" / "policies.yaml"
    try:
        file = yaml_file.read(path)
        found = Policies.model_validate(file.data or {})
    except YamlFileError as error:
        raise PolicyError(str(error)) from error
    except ValidationError as error:
        lines = [f"{file.where(one['loc'])}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise PolicyError("\n".join(lines)) from error
    if vain := gate.not_ours_to_switch_off(found):
        where = file.where(("switched_off",))
        raise PolicyError(f"{where}: {', '.join(vain)} is no rule of ours; X's own rules are not switched off")
    said = [inspect.getsource(module) for module in (*_JUDGING, *gate.MODULES)]
    return Policy(found, hashlib.sha256("\n".join([*said, found.model_dump_json()]).encode()).hexdigest()[:12])


@dataclass(frozen=True)
class Asked:
    """One revision of a post that is to be judged."""

    post_id: UUID
    revision: int
    draft: Draft
    bot: BotRow
    planned_at: datetime


@dataclass(frozen=True)
class Judged:
    """What came of it: a verdict, or why there is none, and then nothing may pass."""

    asked: Asked
    print: Print
    verdict: Verdict | None
    failure: str | None = None

    @property
    def waits(self) -> bool:
        """True where a person decides."""
        return self.verdict is not None and not self.verdict.allowed and not self.verdict.refused

    @property
    def reasons(self) -> tuple[str, ...]:
        """What the rules said, for people."""
        return (self.failure,) if self.verdict is None else tuple(one.said for one in self.verdict.findings)  # type: ignore[return-value]


async def judge(at: Connections, session: AsyncSession, asked: Sequence[Asked]) -> list[Judged]:
    """Judge posts in their order, each against the fleet and against those before it; nobody judges what could be alike
    until the transaction ends. Call it before any row of a post is held, and `keep` what it says."""
    if not asked:
        return []
    policy = in_force(at)
    await lock(at, session, [one.draft for one in asked])
    prints = await asyncio.to_thread(_prints, asked, policy.policies)
    cases = await _cases(session, asked, prints, policy.policies)
    approved = await approvals.approved(session, {one.post_id: fingerprint(one.draft.text) for one in asked})
    return await asyncio.to_thread(_in_turn, asked, prints, cases, policy.version, approved)


async def lock(at: Connections, session: AsyncSession, drafts: Sequence[Draft]) -> None:
    """Let nobody else judge what could be alike, until the transaction ends."""
    policies = in_force(at).policies
    await fingerprints.lock(
        session, await asyncio.to_thread(lambda: [n for d in drafts for n in _stripes(d, policies)])
    )


async def keep(session: AsyncSession, judged: Sequence[Judged]) -> None:
    """Write the verdicts down, and what the posts say that may go out or wait for a person."""
    found = {(one.asked.post_id, one.asked.revision): one.verdict for one in judged if one.verdict is not None}
    await verdicts.add(session, found)
    await fingerprints.put(
        session, [one.print for one in judged if one.verdict is not None and not one.verdict.refused]
    )


def said(post: Draft | Unprinted, policies: Policies) -> tuple[Sequence[int], Sequence[str]]:
    """What a post is compared by: the bands of its text, and what it carries."""
    return bands(normal_form(post.text)), amplification.carried(post.text, post.quote_x_post_id, policies)


def _prints(asked: Sequence[Asked], policies: Policies) -> list[Print]:
    return [Print(one.post_id, one.bot.id, *said(one.draft, policies)) for one in asked]


def _stripes(draft: Draft, policies: Policies) -> list[int]:
    found, carried = said(draft, policies)
    target = draft.reply_to_x_post_id
    things = (*carried, *((f"reply to {target}",) if target else ()))
    return [number % STRIPES for number in (*found, *(zlib.crc32(thing.encode()) for thing in things))]


async def _cases(
    session: AsyncSession, asked: Sequence[Asked], prints: Sequence[Print], policies: Policies
) -> list[Case]:
    planned = [one.planned_at for one in asked]
    alike: dict[int, list[Said]] = defaultdict(list)
    for one in await fingerprints.alike(session, prints, planned, timedelta(days=policies.alike_days)):
        alike[one.place].append(Said(one.handle, one.text, one.planned_at))
    carriers = await fingerprints.carriers(session, prints, planned, timedelta(hours=policies.carriers_hours))
    named = {handle for one in asked for handle in words.mentions(one.draft.text)}
    fleet = frozenset(await bots.by_handles(session, list(named))) if named else frozenset()
    touched = {x for one in asked for x in (one.draft.reply_to_x_post_id, one.draft.quote_x_post_id) if x}
    wrote = await fingerprints.writers(session, list(touched))
    targets = {one.post_id: one.draft.reply_to_x_post_id for one in asked if one.draft.reply_to_x_post_id}
    answered = await fingerprints.answered(session, targets)
    voices = await stored_personas.by_names(session, {one.bot.persona for one in asked})
    now = await base.now(session)
    names = await trends.fresh(session, timedelta(hours=policies.trend_hours))
    rising = tuple(Trend(name, first_seen_at) for name, first_seen_at in names.items())
    return [
        Case(
            one.draft,
            account_of(one.bot, voices[one.bot.persona]),
            Seen(
                now=now,
                alike=tuple(alike[place]),
                carried={thing: frozenset(carriers.get((place, thing), ())) for thing in made.carried},
                fleet=fleet,
                wrote=wrote,
                answered={targets[one.post_id]: answered[one.post_id]} if one.post_id in answered else {},
                trends=rising,
            ),
            policies,
        )
        for place, (one, made) in enumerate(zip(asked, prints, strict=True))
    ]


def account_of(bot: BotRow, persona: Persona) -> Account:
    """What the gate looks at of a bot."""
    return Account(
        handle=bot.handle,
        operator_handle=bot.operator_handle,
        label_confirmed=bot.label_confirmed_at is not None,
        bio_names_operator=bot.bio_names_operator,
        never_topics=persona.never_topics,
        approve_each=persona.approve_each,
    )


def _in_turn(
    asked: Sequence[Asked],
    prints: Sequence[Print],
    cases: Sequence[Case],
    version: str,
    approved: Mapping[UUID, Sequence[tuple[str, str]]],
) -> list[Judged]:
    before, judged = _Before(), []
    for one, made, case in zip(asked, prints, cases, strict=True):
        case = before.added_to(case, one, made)
        try:
            verdict = Verdict(gate.findings(case), version)
        except RuleFailedError as error:
            log.error("the gate failed: %s", error, exc_info=error)
            judged.append(Judged(one, made, None, f"gate-failed: {error}; what is not judged does not go out"))
            continue
        by = {rule: who for rule, who in approved.get(one.post_id, ())}
        if verdict.findings and all(found.rule in by for found in verdict.findings):
            verdict = replace(verdict, approved_by=by[verdict.findings[0].rule])
        if not verdict.refused:
            before.add(one, made)
        judged.append(Judged(one, made, verdict))
    return judged


class _Before:
    """What was let pass earlier in the same batch."""

    def __init__(self) -> None:
        self._alike: dict[int, list[tuple[Asked, Print]]] = defaultdict(list)
        self._carried: dict[str, list[Asked]] = defaultdict(list)
        self._answered: dict[str, str] = {}

    def add(self, asked: Asked, made: Print) -> None:
        for band in made.bands:
            self._alike[band].append((asked, made))
        for thing in made.carried:
            self._carried[thing].append(asked)
        if target := asked.draft.reply_to_x_post_id:
            self._answered.setdefault(target, asked.bot.handle)

    def added_to(self, case: Case, asked: Asked, made: Print) -> Case:
        near = {
            other.post_id: Said(other.bot.handle, other.draft.text, other.planned_at)
            for band in made.bands
            for other, theirs in self._alike.get(band, ())
            if other.bot.id != asked.bot.id or theirs.bands == made.bands
        }
        around = timedelta(hours=case.policies.carriers_hours)
        carried = {
            thing: handles | {
                other.bot.handle.lower()
                for other in self._carried.get(thing, ())
                if abs(other.planned_at - asked.planned_at) <= around
            }
            for thing, handles in case.seen.carried.items()
        }  # fmt: skip
        answered = {**self._answered, **case.seen.answered}
        alike = (*case.seen.alike, *near.values())
        return replace(case, seen=replace(case.seen, alike=alike, carried=carried, answered=answered))
