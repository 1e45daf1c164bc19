"""The posts that this X accepted, as its endpoints look them up."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any

from deployments.x_sandbox.clock import first_id, from_iso
from deployments.x_sandbox.ledger import Entry
from deployments.x_sandbox.queries import ID
from deployments.x_sandbox.texts import Shown, shown, stored

OPTIONAL = (
    "in_reply_to",
    "quoted",
    "mentioned",
    "poll",
    "media_keys",
    "reply_settings",
    "made_with_ai",
    "paid_partnership",
)
MILLISECOND = 0.001
"""What an id can tell apart."""


@dataclass(slots=True)
class Post:
    """One accepted post; `extras` are the optional parts that came with it."""

    id: int
    account_id: str
    text: str
    visible_at: float
    conversation_id: int
    extras: dict[str, Any] = field(default_factory=dict)
    _shown: Shown | None = None

    @property
    def shown(self) -> Shown:
        """Text and entities as X gives them out; worked out at the first read, because finding links is slow."""
        if self._shown is None:
            self._shown = shown(self.text, self.id)
        return self._shown


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of a timeline is asked for: ids strictly between two, as far as they show by `now`."""

    above: int
    below: int
    now: float


class Posts:
    """Posts by id, by author and by who is mentioned in the order of their ids, and by text for the duplicate rule."""

    def __init__(self) -> None:
        self.by_id: dict[int, Post] = {}
        self._replies: dict[int, list[int]] = {}
        self._quotes: dict[int, list[int]] = {}
        self._timelines: dict[str, list[int]] = {}
        self._mentions: dict[str, list[int]] = {}
        self._texts: dict[tuple[str, str], float] = {}

    def apply_create(self, entry: Entry) -> None:
        """Add the post of a ledger entry."""
        post_id = int(entry["x_post_id"])
        extras = {name: entry[name] for name in OPTIONAL if name in entry}
        parent = self.by_id.get(int(extras.get("in_reply_to", 0)))
        text = stored(entry["text"])
        self.by_id[post_id] = Post(
            id=post_id,
            account_id=entry["account_id"],
            text=text,
            visible_at=from_iso(entry["visible_at"]),
            conversation_id=parent.conversation_id if parent else post_id,
            extras=extras,
        )
        for ids in self._lists(self.by_id[post_id]):
            insort(ids, post_id)
        self._texts[entry["account_id"], text] = from_iso(entry["accepted_at"])

    def apply_delete(self, entry: Entry) -> None:
        """Take away the post of a ledger entry; its text may be posted again."""
        post = self.by_id.pop(int(entry["x_post_id"]), None)
        if post is not None:
            for ids in self._lists(post):
                del ids[bisect_left(ids, post.id)]
            self._texts.pop((post.account_id, post.text), None)

    def find(self, post_id: str) -> Post | None:
        """The post of an id as it came over the wire."""
        return self.by_id.get(int(post_id)) if ID.fullmatch(post_id) else None

    def posted_at(self, account_id: str, text: str) -> float | None:
        """When the account last posted this text, if that post still stands."""
        return self._texts.get((account_id, stored(text)))

    def between(self, account_id: str, span: Span) -> list[Post]:
        """The account's visible posts, oldest first."""
        return self._visible(self._timelines.get(account_id, []), span)

    def mentions(self, account_id: str, span: Span) -> list[Post]:
        """The visible posts that mention the account, oldest first."""
        return self._visible(self._mentions.get(account_id, []), span)

    def newest(self, count: int) -> list[Post]:
        """The newest posts of all accounts, newest first, visible in timelines or not."""
        return list(islice(reversed(self.by_id.values()), count))

    def replies(self, post_id: int, until: float) -> int:
        """How many replies to a post that still stand were made by this instant."""
        return bisect_left(self._replies.get(post_id, ()), first_id(until + MILLISECOND))

    def quotes(self, post_id: int, until: float) -> int:
        """How many quotes of a post that still stand were made by this instant."""
        return bisect_left(self._quotes.get(post_id, ()), first_id(until + MILLISECOND))

    def count_of(self, account_id: str) -> int:
        """How many posts of an account there are."""
        return len(self._timelines.get(account_id, ()))

    def since(self, instant: float) -> Iterator[Post]:
        """The posts of all accounts that were made at this instant or later, newest first."""
        first = first_id(instant)
        return takewhile(lambda post: post.id >= first, reversed(self.by_id.values()))

    def _lists(self, post: Post) -> Iterator[list[int]]:
        """The lists in which a post's id stands, each in the order of ids."""
        yield self._timelines.setdefault(post.account_id, [])
        for mentioned in post.extras.get("mentioned", ()):
            yield self._mentions.setdefault(mentioned, [])
        for name, lists in (("in_reply_to", self._replies), ("quoted", self._quotes)):
            if name in post.extras:
                yield lists.setdefault(int(post.extras[name]), [])

    def _visible(self, ids: list[int], span: Span) -> list[Post]:
        within = ids[bisect_right(ids, span.above) : bisect_left(ids, span.below)]
        return [post for post in map(self.by_id.__getitem__, within) if post.visible_at <= span.now]
