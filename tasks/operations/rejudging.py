"""A new policy: what waits for its instant is judged by it before it is due, and what older releases wrote is compared.

Nothing goes out meanwhile for want of it: what nobody has judged anew is judged when it is claimed.
"""

from dataclasses import dataclass
from datetime import timedelta

from tasks.connections import Connections
from tasks.operations import approving, gate
from tasks.operations.gate import Asked
from tasks.store import approvals, bots, fingerprints, posts, revisions, verdicts
from tasks.store.fingerprints import Print

# Posts that are looked at in one transaction.
AT_ONCE = 100
# What is due sooner is judged by the run that claims it.
AHEAD = timedelta(seconds=30)


@dataclass(frozen=True)
class Rejudged:
    """How many posts were looked at, and how many of them do not go out as they were to."""

    printed: int
    judged: int
    ended: int


async def look_over(at: Connections) -> Rejudged:
    """Compare and judge some of what nobody has yet; raises PolicyError."""
    return Rejudged(await _print_old(at), *await _judge_anew(at))


async def _print_old(at: Connections) -> int:
    policies = gate.in_force(at).policies
    async with at.transaction() as session:
        found = await fingerprints.unprinted(session, timedelta(days=policies.alike_days), AT_ONCE)
        prints = [Print(one.post_id, one.bot_id, *gate.said(one, policies)) for one in found]
        await fingerprints.put(session, prints)
    return len(found)


async def _judge_anew(at: Connections) -> tuple[int, int]:
    async with at.transaction() as session:
        found = await verdicts.unjudged(session, gate.in_force(at).version, AHEAD, AT_ONCE)
        drafts = [await revisions.draft_of(session, one.post_id) for one in found]
        known = await bots.by_handles(session, [draft.bot for draft in drafts]) if drafts else {}
        asked = [
            Asked(one.post_id, one.revision, draft, known[draft.bot.lower()], one.planned_at)
            for one, draft in zip(found, drafts, strict=True)
        ]
        judged = await gate.judge(at, session, asked)
        await gate.keep(session, judged)
        ended = 0
        for one in judged:
            if one.verdict is None or one.verdict.allowed:
                continue
            status = "awaiting_approval" if one.waits else "refused"
            if not await posts.end(session, one.asked.post_id, one.asked.revision, status, "; ".join(one.reasons)):
                continue
            ended += 1
            if one.waits:
                question = approving.question(one, "the gate", approving.rules_of(one))
                await approvals.ask(session, [question], approving.patience(at))
    return len(found), ended
