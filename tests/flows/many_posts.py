"""Posts of many bots over some time, and how late each was; runs may be killed meanwhile."""

import threading
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from signal import SIGKILL
from statistics import quantiles

from deployments.cli.client import api, wait_for_run
from tests.makers import a_bot, a_persona
from tests.posting_stack import Post, PostingStack

BOTS, POSTS, SPAN_SECONDS = 50, 1000, 60.0
BEGIN_SECONDS = 10.0
# The API takes so many drafts at once.
BATCH = 1000
# An attempt without an answer is looked for until it is found, or known not to have arrived.
SETTLE_SECONDS = 400.0
KILL_EVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Lateness:
    """How the posts stand, how often X accepted each, and first byte at X after the planned instant."""

    bots: int
    span_seconds: float
    killed: int
    statuses: Counter[str]
    accepted: Counter[int]
    seconds: list[float]

    @property
    def said(self) -> str:
        """One line for people."""
        spread = quantiles(self.seconds, n=100)
        late = sum(second > 1 for second in self.seconds)
        return (
            f"{self.statuses.total()} posts of {self.bots} bots within {self.span_seconds:g} s, "
            f"{self.killed} runs killed: {dict(self.statuses)}, accepted by X (times: posts) {dict(self.accepted)}; "
            f"first byte at X p50 {spread[49] * 1000:.0f} ms, p99 {spread[98] * 1000:.0f} ms, "
            f"most {max(self.seconds) * 1000:.0f} ms after the instant; {late} more than a second late"
        )


def thousand_posts(stack: PostingStack) -> Lateness:
    """Fifty bots say twenty things each within a minute."""
    return many_posts(stack, BOTS, POSTS, SPAN_SECONDS)


def many_posts(stack: PostingStack, bots: int, count: int, span_seconds: float, killing: bool = False) -> Lateness:
    """Sign bots in, let them speak by turns, and wait for the last; with `killing` one run dies each minute."""
    handles = _signed_in(bots)
    stack.standing_by()
    with ExitStack() as beside:
        killed = beside.enter_context(_Killer(stack.another())) if killing else None
        posts = [
            post
            for start in range(0, count, BATCH)
            for post in stack.schedule(
                min(BATCH, count - start),
                BEGIN_SECONDS + start * span_seconds / count,
                span_seconds / count,
                handles[start % bots :] + handles[: start % bots],
            )
        ]
        stack.until_ended(posts, BEGIN_SECONDS + span_seconds + SETTLE_SECONDS)
    accepted = stack.accepted(posts)
    late = [_late(post, entry["first_byte_at"]) for post in posts for entry in accepted[post.id]]
    return Lateness(
        bots,
        span_seconds,
        killed.count if killed else 0,
        stack.statuses(posts),
        Counter(len(entries) for entries in accepted.values()),
        late,
    )


class _Killer:
    """Kills the run that has served longest, once a minute, while another one stands by."""

    def __init__(self, stack: PostingStack) -> None:
        self.count = 0
        self._stack = stack
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._kill, name="killer")

    def __enter__(self) -> "_Killer":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._thread.join()
        self._stack.forget_connection()

    def _kill(self) -> None:
        while not self._ended.wait(KILL_EVERY_SECONDS):
            senders = self._stack.senders()
            if len(senders) > 1:
                senders[0].process.send(SIGKILL)
                self.count += 1


def _signed_in(count: int) -> list[str]:
    handles = [f"reading_{number}" for number in range(count)]
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
