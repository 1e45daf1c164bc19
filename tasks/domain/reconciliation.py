"""What becomes of a post whose answer was lost: decided by what its account's timeline shows, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

# X refuses a token at its end; a late request may have been on its way for as long as this.
TOKEN_SPARE = timedelta(seconds=60)

Seen = Literal["marked", "alike", "several", "none", "unreadable"]
Verdict = Literal["wait", "published", "scheduled", "cancelled", "refused", "held"]


@dataclass(frozen=True)
class Terms:
    """The settings that a resend rests on: S1 settle, S2 visible, and how far apart two reads must lie.

    `gap_most` bounds the growing wait between looks; `resend_after_token_fence` lets a post go again although nobody
    could prove its sender dead.
    """

    settle: timedelta
    visible: timedelta
    apart: timedelta
    gap_most: timedelta
    attempts_max: int
    resend_after_token_fence: bool = False


@dataclass(frozen=True)
class Doubt:
    """One attempt without a known outcome.

    `over_at`: from then on its sender hands over no more, because it is proven dead or has itself said that the request
    ended; None while nobody knows. `said_duplicate`: X refused it as said already, after an earlier attempt in doubt.
    """

    token_expires_at: datetime | None
    over_at: datetime | None = None
    in_thread: bool = False
    cancel_wanted: bool = False
    said_duplicate: bool = False
    attempts: int = 1


@dataclass(frozen=True)
class Look:
    """One complete look at the timeline, or a failed one; `reason` says why it could not be read."""

    at: datetime
    seen: Seen
    x_post_ids: tuple[str, ...] = ()
    reason: str | None = None

    def agrees(self, other: "Look") -> bool:
        """True where both saw the same."""
        return (self.seen, set(self.x_post_ids)) == (other.seen, set(other.x_post_ids))


@dataclass(frozen=True)
class Decision:
    """Where the post goes, and why in words for people; `next_look_at` is set while it waits."""

    verdict: Verdict
    reason: str
    x_post_id: str | None = None
    next_look_at: datetime | None = None


def fence(doubt: Doubt, terms: Terms) -> datetime | None:
    """From then on X takes nothing more of this attempt: its sender is over and X settled, or its token is spent."""
    known = [
        at
        for at in (
            doubt.over_at and doubt.over_at + terms.settle,
            doubt.token_expires_at and doubt.token_expires_at + TOKEN_SPARE,
        )
        if at is not None
    ]
    return min(known, default=None)


def quiet(doubt: Doubt, terms: Terms) -> datetime | None:
    """From then on whatever X took is settled and shows in the timeline: absence begins to count."""
    fenced = fence(doubt, terms)
    return fenced + terms.settle + terms.visible if fenced else None


def decide(doubt: Doubt, looks: Sequence[Look], terms: Terms) -> Decision:
    """What the newest of these looks, oldest first, leads to."""
    newest = looks[-1]
    [*_, first_id] = newest.x_post_ids or [None]
    match newest.seen:
        case "marked":
            return Decision("published", "found on the timeline by its mark", first_id)
        case "alike" if not doubt.in_thread:
            return Decision("published", "found on the timeline by its text and time", first_id)
        case "unreadable":
            return Decision(
                "wait", f"its timeline cannot be read: {newest.reason}", next_look_at=_next(doubt, looks, terms)
            )
    if not _settled(doubt, looks, terms):
        return Decision("wait", _waiting(doubt, looks, terms), next_look_at=_next(doubt, looks, terms))
    if newest.seen == "alike":
        return Decision("held", "one post on X has its text, and in a thread that is not enough to go on")
    if newest.seen == "several":
        return Decision("held", f"{len(newest.x_post_ids)} posts on X could be it")
    return _absent(doubt, terms)


def _absent(doubt: Doubt, terms: Terms) -> Decision:
    """Two agreeing reads found nothing after everything that X took would show."""
    if doubt.cancel_wanted:
        return Decision("cancelled", "cancelled while its answer was missing; X does not have it")
    if doubt.said_duplicate:
        return Decision("held", "X says that it has this text already, and the timeline does not show it")
    if doubt.over_at is None and not terms.resend_after_token_fence:
        return Decision("held", "X does not show it, but nobody can prove that its sender is dead")
    if doubt.attempts >= terms.attempts_max:
        return Decision("refused", f"X does not have it; given up after {doubt.attempts} attempts")
    return Decision("scheduled", "X does not have it: two looks found nothing after all that X took would show")


def _settled(doubt: Doubt, looks: Sequence[Look], terms: Terms) -> bool:
    """True once two agreeing looks, far enough apart, lie after the instant from which absence counts."""
    since = quiet(doubt, terms)
    newest = looks[-1]
    if since is None or newest.at < since:
        return False
    for look in reversed(looks[:-1]):
        if look.at < since or not look.agrees(newest):
            return False
        if newest.at - look.at >= terms.apart:
            return True
    return False


def _waiting(doubt: Doubt, looks: Sequence[Look], terms: Terms) -> str:
    since = quiet(doubt, terms)
    seen = {"none": "nothing", "alike": "one post with its text", "several": "several posts with its text"}
    found = f"look {len(looks)} found {seen[looks[-1].seen]}"
    if since is None:
        return f"{found}; nobody knows yet whether its sender is dead, nor when its token ends"
    if looks[-1].at < since:
        return f"{found}; this counts from {since:%H:%M:%S} UTC"
    return f"{found}; a second look decides"


def _next(doubt: Doubt, looks: Sequence[Look], terms: Terms) -> datetime:
    """Soon at first, then at growing gaps; at the instant from which absence counts; and once more after that."""
    now, since = looks[-1].at, quiet(doubt, terms)
    growing = min(terms.apart * (1 << min(len(looks) - 1, 20)), terms.gap_most)
    if looks[-1].seen != "unreadable" and since is not None:
        return now + terms.apart if now >= since else min(now + growing, since)
    return now + growing
