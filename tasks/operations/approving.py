"""Approvals: people read what a rule wants them to see, and let it pass or not. Theirs is the only word that counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from tasks.connections import Connections
from tasks.domain.posts import fingerprint
from tasks.domain.roles import Actor
from tasks.operations import activity
from tasks.operations.gate import Judged
from tasks.store import approvals, posts, verdicts
from tasks.store.approvals import Question, Waiting

Decision = Literal["approved", "rejected"]


@dataclass(frozen=True)
class Decided:
    """What became of one post that somebody decided on; `not_decided` says why nothing did.

    `changed`: it says something else than what was read. `gone`: it waits for nobody. `own`: its author cannot approve.
    `thread`: another part of its thread cannot be decided.
    """

    post_id: UUID
    result: Literal["approved", "rejected", "not_decided"]
    why: Literal["changed", "gone", "own", "thread"] | None = None
    said: str | None = None


def question(judged: Judged, asked_by: str, rules: Sequence[str]) -> Question:
    """What a person is asked about a judged post: for these very words."""
    asked = judged.asked
    return Question(asked.post_id, asked.revision, fingerprint(asked.draft.text), rules, asked_by)


def rules_of(judged: Judged) -> Sequence[str]:
    """The rules that ask for a person."""
    return tuple(found.rule for found in judged.verdict.findings) if judged.verdict else ()


def patience(at: Connections) -> timedelta:
    """How long a post waits for a person."""
    return timedelta(hours=at.places.settings.approvals.wait_hours)


async def waiting(at: Connections, actor: Actor, **wanted: Any) -> Sequence[Waiting]:
    """Posts that wait for a person, the next due first; see store.approvals.waiting."""
    async with at.transaction() as session:
        return await approvals.waiting(session, actor.within("approvals.read"), **wanted)


async def decide(
    at: Connections, seen: Mapping[UUID, int], decision: Decision, comment: str | None, actor: Actor
) -> list[Decided]:
    """Decide on posts, each given with the revision that was read; a part of a thread stands for all."""
    may = at.places.settings.approvals.author_may_approve
    async with at.transaction() as session:
        held = await approvals.hold(session, list(seen), actor.within("approvals.decide"))
        said = {one.post_id: _objection(one, seen.get(one.post_id), decision, may, actor) for one in held}
        chosen = [one for one in held if said[one.post_id] is None]
        # A thread goes out whole: what is said against one part holds the others.
        broken = {one.thread_id for one in held if said[one.post_id] is not None} - {None}
        chosen = [one for one in chosen if one.thread_id not in broken]
        ids, post_ids = [one.id for one in chosen], [one.post_id for one in chosen]
        if decision == "approved":
            await verdicts.approve(session, post_ids, actor.name)
            await approvals.decide(session, ids, decision, "scheduled", actor.name, comment, None)
            await posts.wake_runs(session)
        else:
            reason = f"rejected by {actor.name}" + (f": {comment}" if comment else "")
            await approvals.decide(session, ids, decision, "rejected", actor.name, comment, reason)
        for one in chosen:
            await activity.note(
                session,
                actor,
                f"approvals.{decision}",
                str(one.post_id),
                "security",
                bot_id=one.bot_id,
                revision=one.revision,
                text_hash=one.text_hash.hex(),
                rules=list(one.rules),
            )
    done = {post_id: Decided(post_id, decision) for post_id in post_ids}
    left = {one.post_id: said[one.post_id] or _other_part(one) for one in held if one.post_id not in done}
    gone = {post_id: Decided(post_id, "not_decided", "gone", "it waits for no approval") for post_id in seen}
    return list({**gone, **left, **done}.values())


def _objection(one: Waiting, revision: int | None, decision: Decision, may: bool, actor: Actor) -> Decided | None:
    if revision is not None and revision != one.revision:
        said = f"it stands at revision {one.revision}, and revision {revision} was read: look at it again"
        return Decided(one.post_id, "not_decided", "changed", said)
    if decision == "approved" and not may and _person(actor.name) in map(_person, one.authors):
        said = f"{_person(actor.name)} wrote or changed it: somebody else approves it (approvals.author_may_approve)"
        return Decided(one.post_id, "not_decided", "own", said)
    return None


def _person(name: str) -> str:
    """Whose key it is, where a key acted."""
    return name.partition("/")[0]


def _other_part(one: Waiting) -> Decided:
    return Decided(one.post_id, "not_decided", "thread", "another part of its thread cannot be decided")
