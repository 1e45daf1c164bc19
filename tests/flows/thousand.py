"""A thousand posts of fifty bots within a minute, and how late each was."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from statistics import quantiles

from deployments.cli.client import api, wait_for_run
from tests.makers import a_bot, a_persona
from tests.posting_stack import Post, PostingStack

BOTS, POSTS, SPAN_SECONDS = 50, 1000, 60.0
BEGIN_SECONDS = 10.0


@dataclass(frozen=True)
class Lateness:
    """How the posts stand, how often X accepted each, and first byte at X after the planned instant."""

    statuses: Counter[str]
    accepted: Counter[int]
    seconds: list[float]

    @property
    def said(self) -> str:
        """One line for people."""
        spread = quantiles(self.seconds, n=100)
        return (
            f"{self.statuses.total()} posts of {BOTS} bots within {SPAN_SECONDS:g} s: {dict(self.statuses)}, "
            f"accepted by X (times: posts) {dict(self.accepted)}; first byte at X p50 {spread[49] * 1000:.0f} ms, "
            f"p99 {spread[98] * 1000:.0f} ms, most {max(self.seconds) * 1000:.0f} ms after the instant"
        )


def thousand_posts(stack: PostingStack) -> Lateness:
    """Sign fifty bots in, let them say twenty things each, and wait for the last."""
    bots = _fifty_bots()
    stack.standing_by()
    posts = stack.schedule(POSTS, BEGIN_SECONDS, SPAN_SECONDS / POSTS, bots)
    stack.until_ended(posts, BEGIN_SECONDS + SPAN_SECONDS + 60)
    accepted = stack.accepted(posts)
    late = [_late(post, entry["first_byte_at"]) for post in posts for entry in accepted[post.id]]
    return Lateness(stack.statuses(posts), Counter(len(entries) for entries in accepted.values()), late)


def _fifty_bots() -> list[str]:
    handles = [f"reading_{number}" for number in range(BOTS)]
    persona = a_persona(name="Readings")
    with api() as gateway:
        wanted = [a_bot(handle, persona=persona).model_dump(mode="json") for handle in handles]
        gateway.post("/bots/import", wanted)
        started = gateway.post("/runs", {"deployment": "onboard-bots/on-demand", "arguments": {"handles": handles}})
        wait_for_run(gateway, started["flow_run_id"])
        active = {bot["handle"] for bot in gateway.get("/bots", state="active")}
    assert active.issuperset(handles)
    return handles


def _late(post: Post, first_byte_at: str) -> float:
    return (datetime.fromisoformat(first_byte_at) - post.due_at).total_seconds()
