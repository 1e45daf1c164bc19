"""X's search language, as far as this X has what it asks for."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from deployments.x_sandbox.accounts import Accounts
from deployments.x_sandbox.media_store import MediaStore
from deployments.x_sandbox.post_store import Post, Posts
from deployments.x_sandbox.queries import ID, USERNAME

QUERY_LENGTH_MAX = 512
DEPTH_MOST = 20
"""Brackets within brackets; without a bound a stranger could exhaust Python's stack."""
_PIECE = re.compile(
    r"""\s*(?:
        (?P<open>\()
      | (?P<close>\))
      | (?P<minus>-)(?=\S)
      | "(?P<phrase>[^"]*)"
      | (?P<word>(?:[^\s()":]|:(?!"))+(?::"[^"]*")?)
    )""",
    re.VERBOSE,
)
_WORDS = re.compile(r"\w+")
IS = {
    "reply": lambda post: "in_reply_to" in post.extras,
    "quote": lambda post: "quoted" in post.extras,
    "retweet": lambda post: False,
    "verified": lambda post: False,
}
REFERENCES = frozenset({"conversation_id", "in_reply_to_tweet_id", "in_reply_to_post_id", "quotes_of_tweet_id"})
UNKNOWN = "Operator is not available in current product or product packaging."
NOT_OFFERED = frozenset(
    "bio bio_location bio_name bounding_box context entity followers_count following_count lang list "
    "listed_count place place_country point_radius retweets_of retweets_of_post_id retweets_of_tweet_id sample source "
    "tweets_count url_title url_description".split()
)
"""Operators that X knows and that ask for what nobody has here; matching nothing or everything would be a lie."""

Matches = Callable[[Post], bool]


class BadSearch(Exception):
    """X would not search for this; the text says why."""


@dataclass(slots=True)
class Search:
    """Reads queries, one after the other. Raises BadSearch from `read`."""

    posts: Posts
    accounts: Accounts
    media: MediaStore
    _pieces: list[tuple[str, str]] = field(default_factory=list)
    _at: int = 0
    _stands_alone: bool = False
    _depth: int = 0

    def read(self, query: str) -> Matches:
        """What tells whether a post is meant."""
        self._pieces, self._at, self._depth, self._stands_alone = [], 0, 0, False
        at, query = 0, query.strip()
        while at < len(query):
            piece = _PIECE.match(query, at)
            if piece is None:
                raise BadSearch(f"no viable alternative at character '{query[at:].strip()[0]}'")
            self._pieces.append((str(piece.lastgroup), piece[str(piece.lastgroup)]))
            at = piece.end()
        matches = self._either(positive=True)
        if self._at < len(self._pieces):
            raise BadSearch(f"missing EOF at '{self._pieces[self._at][1]}'")
        if not self._stands_alone:
            raise BadSearch("Rules must contain at least one positive, non-stopword clause")
        return matches

    def _either(self, positive: bool) -> Matches:
        ways = [self._all(positive)]
        while self._next() == ("word", "OR"):
            self._at += 1
            ways.append(self._all(positive))
        return ways[0] if len(ways) == 1 else lambda post: any(way(post) for way in ways)

    def _all(self, positive: bool) -> Matches:
        parts: list[Matches] = []
        while (piece := self._next())[0] not in ("", "close") and piece != ("word", "OR"):
            parts.append(self._one(positive))
        if not parts:
            raise BadSearch(f"no viable alternative at input '{self._next()[1] or '<EOF>'}'")
        return parts[0] if len(parts) == 1 else lambda post: all(part(post) for part in parts)

    def _one(self, positive: bool) -> Matches:
        kind, text = self._next()
        self._at += 1
        if kind == "minus":
            wanted = self._one(positive=False)
            return lambda post: not wanted(post)
        if kind == "open":
            return self._bracket(positive)
        if kind == "phrase":
            self._stands_alone |= positive
            return _words(text)
        if kind == "close" or not text:
            raise BadSearch(f"no viable alternative at input '{text or '<EOF>'}'")
        return self._operator(text, positive)

    def _bracket(self, positive: bool) -> Matches:
        self._depth += 1
        if self._depth > DEPTH_MOST:
            raise BadSearch("too many brackets")
        inner = self._either(positive)
        if self._next()[0] != "close":
            raise BadSearch("missing ')'")
        self._at += 1
        self._depth -= 1
        return inner

    def _operator(self, text: str, positive: bool) -> Matches:
        name, colon, value = text.partition(":")
        if colon and name == "is" and value in IS:
            return IS[value]
        if colon and name == "has":
            return self._has(value)
        self._stands_alone |= positive
        if not colon:
            return _mark(text) if text[0] in "#$@" else _words(text)
        value = value.strip('"')
        if name in ("from", "to") and (ID.fullmatch(value) or USERNAME.fullmatch(value.removeprefix("@"))):
            return self._whose(name, value.removeprefix("@"))
        if name == "url" and value:
            part = value.casefold()
            return lambda post: any(part in each["expanded_url"].casefold() for each in _marks(post, "urls"))
        if name in REFERENCES and ID.fullmatch(value):
            return _refers(name, value)
        if name in NOT_OFFERED:
            raise BadSearch(f"the operator '{name}' is not offered by this sandbox")
        raise BadSearch(f"Reference to invalid operator '{name}'. {UNKNOWN}")

    def _has(self, what: str) -> Matches:
        kinds = {"hashtags": "hashtags", "cashtags": "cashtags", "links": "urls", "mentions": "mentions"}
        if what in kinds:
            return lambda post: bool(_marks(post, kinds[what]))
        categories = {
            "media": ("tweet_image", "tweet_gif", "tweet_video"),
            "images": ("tweet_image",),
            "video_link": ("tweet_video",),
            "videos": ("tweet_video",),
        }
        if what in categories:
            return lambda post: any(
                self.media.of_key(key).category in categories[what] for key in post.extras.get("media_keys", ())
            )
        raise BadSearch(f"Reference to invalid operator 'has:{what}'. {UNKNOWN}")

    def _whose(self, name: str, value: str) -> Matches:
        account = self.accounts.find(value) or self.accounts.by_id.get(value)
        wanted = account.id if account else ""
        if name == "from":
            return lambda post: post.account_id == wanted

        def to(post: Post) -> bool:
            parent = self.posts.find(post.extras["in_reply_to"]) if "in_reply_to" in post.extras else None
            return parent is not None and parent.account_id == wanted

        return to

    def _next(self) -> tuple[str, str]:
        return self._pieces[self._at] if self._at < len(self._pieces) else ("", "")


def _marks(post: Post, kind: str) -> list[dict[str, str]]:
    return post.shown.entities.get(kind, [])


def _mark(text: str) -> Matches:
    kind, label = {"#": ("hashtags", "tag"), "$": ("cashtags", "tag"), "@": ("mentions", "username")}[text[0]]
    wanted = text[1:].casefold()
    if not wanted:
        raise BadSearch(f"no viable alternative at character '{text}'")
    return lambda post: any(each[label].casefold() == wanted for each in _marks(post, kind))


def _words(text: str) -> Matches:
    wanted = _WORDS.findall(text.casefold())
    if not wanted:
        raise BadSearch(f"no viable alternative at input '{text}'")

    def within(post: Post) -> bool:
        said = _WORDS.findall(post.text.casefold())
        return any(said[at : at + len(wanted)] == wanted for at in range(len(said) - len(wanted) + 1))

    return within


def _refers(name: str, value: str) -> Matches:
    if name == "conversation_id":
        return lambda post: post.conversation_id == int(value)
    part = "quoted" if name == "quotes_of_tweet_id" else "in_reply_to"
    return lambda post: post.extras.get(part) == value
