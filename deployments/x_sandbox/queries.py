"""Query strings as X reads them; whatever X would refuse is collected and answered in one 400."""

import base64
import binascii
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from deployments.x_sandbox.answers import Answer, invalid
from deployments.x_sandbox.clock import first_id, from_iso

ID = re.compile(r"[0-9]{1,19}")
USERNAME = re.compile(r"[A-Za-z0-9_]{1,15}")
VALUES_MAX = 100
POST_FIELDS = frozenset(
    "article article_title attachments author_id card_uri community_id context_annotations conversation_id created_at "
    "display_text_range edit_controls edit_history_post_ids edit_history_tweet_ids entities geo id in_reply_to_user_id "
    "lang matched_media_notes media_metadata non_public_metrics note_post note_request_suggestions note_tweet "
    "organic_metrics paid_partnership possibly_sensitive promoted_metrics public_metrics referenced_posts "
    "referenced_tweets reply_settings scopes source suggested_source_links suggested_source_links_with_counts text "
    "username withheld".split()
)
NEW_EXPANSIONS = frozenset({"edit_history_post_ids", "most_recent_post_id", "pinned_post_id", "referenced_posts"})
POST_EXPANSIONS = frozenset(
    "article.cover_media article.media_entities attachments.media_keys attachments.media_source_tweet "
    "attachments.poll_ids author_id author_screen_name edit_history_post_ids edit_history_tweet_ids "
    "entities.mentions.username entities.note.mentions.username geo.place_id in_reply_to_user_id referenced_posts "
    "referenced_tweets.id referenced_tweets.id.attachments.media_keys referenced_tweets.id.author_id username".split()
)
USER_EXPANSIONS = frozenset(
    "affiliation affiliation.user_id most_recent_post_id most_recent_tweet_id pinned_post_id pinned_tweet_id".split()
)
USER_FIELDS = frozenset(
    "affiliation confirmed_email connection_status created_at description entities id is_identity_verified location "
    "most_recent_post_id most_recent_tweet_id name parody pinned_post_id pinned_tweet_id profile_banner_url "
    "profile_image_url protected public_metrics receives_your_dm subscribes_to_you subscription subscription_type url "
    "username verified verified_followers_count verified_type withheld".split()
)
MEDIA_FIELDS = frozenset(
    "alt_text duration_ms height media_key non_public_metrics organic_metrics preview_image_url promoted_metrics "
    "public_metrics type url variants width".split()
)
POLL_FIELDS = frozenset({"duration_minutes", "end_datetime", "id", "options", "voting_status"})
PLACE_FIELDS = frozenset("contained_within country country_code full_name geo id name place_type".split())


class BadQuery(Exception):
    """The query is one that X refuses; `answer` says so."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


@dataclass(slots=True)
class Query:
    """The parameters of one read. Raises BadQuery from `check`, with everything that was wrong."""

    values: dict[str, str]
    new_names_by_default: bool
    known: set[str] = field(default_factory=set)
    wrong: list[tuple[dict[str, list[str]], str]] = field(default_factory=list)

    @classmethod
    def of(cls, query_string: bytes, new_names: bool) -> "Query":
        """Read a query string; `new_names` says which generation is spoken to those who do not ask for one."""
        return cls(dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)), new_names)

    @property
    def new_names(self) -> bool:
        """Whether the answer is to speak the newer of X's two generations of names."""
        expansions = set(self.values.get("expansions", "").split(","))
        asked = "post.fields" in self.values or not NEW_EXPANSIONS.isdisjoint(expansions)
        return asked or self.new_names_by_default

    def names(self, parameter: str, among: frozenset[str] | None = None) -> frozenset[str]:
        """A comma separated parameter as a set."""
        self.known.add(parameter)
        text = self.values.get(parameter)
        if text is None:
            return frozenset()
        listed = text.split(",")
        names = frozenset(listed)
        if len(names) < len(listed):
            self.refuse(parameter, f"The `{parameter}` query parameter value [{text}] has duplicates")
        if among is not None and (strange := names - among):
            self.refuse(
                parameter,
                f"The `{parameter}` query parameter value [{','.join(sorted(strange))}] is not one of "
                f"[{','.join(sorted(among))}]",
            )
        return names

    def fields(self, *parameters: str, among: frozenset[str]) -> frozenset[str]:
        """The fields that any of these parameters asks for."""
        return frozenset().union(*(self.names(parameter, among) for parameter in parameters))

    def values_of(self, parameter: str, pattern: re.Pattern[str]) -> list[str]:
        """The 1 to 100 comma separated values that a lookup cannot do without; each is looked up once."""
        self.known.add(parameter)
        values = self.values.get(parameter, "").split(",")
        if len(values) > VALUES_MAX or not all(map(pattern.fullmatch, values)):
            message = f"The `{parameter}` query parameter needs 1 to {VALUES_MAX} values of ^{pattern.pattern}$"
            self.wrong.append(({parameter: values}, message))
        return list(dict.fromkeys(values))

    def in_path(self, parameter: str, value: str, pattern: re.Pattern[str]) -> None:
        """Check the part of the path that names what is asked for."""
        if not pattern.fullmatch(value):
            message = f"The `{parameter}` query parameter value [{value}] is not valid"
            self.wrong.append(({parameter: [value]}, message))

    def whole(self, parameter: str, default: int, least: int, most: int) -> int:
        """A number within bounds."""
        self.known.add(parameter)
        text = self.values.get(parameter)
        if text is None:
            return default
        number = int(text) if text.isascii() and text.isdigit() else -1
        if not least <= number <= most:
            self.refuse(
                parameter, f"The `{parameter}` query parameter value [{text}] is not between {least} and {most}"
            )
        return number

    def text(self, parameter: str, length_max: int) -> str:
        """A text that the request cannot do without."""
        self.known.add(parameter)
        text = self.values.get(parameter, "")
        if not 1 <= len(text) <= length_max:
            message = f"The `{parameter}` query parameter must have 1 to {length_max} characters"
            self.refuse(parameter, message)
        return text

    def one_of(self, parameter: str, default: str, among: Collection[str]) -> str:
        """One word of a few."""
        self.known.add(parameter)
        word = self.values.get(parameter, default)
        if word not in among:
            self.refuse(
                parameter, f"The `{parameter}` query parameter value [{word}] is not one of [{','.join(among)}]"
            )
            return default
        return word

    def never(self, parameter: str) -> None:
        """A parameter of which no value is right."""
        self.known.add(parameter)
        if parameter in self.values:
            self.refuse(parameter, f"The `{parameter}` query parameter value [{self.values[parameter]}] is not valid")

    def time(self, parameter: str, default: float | None = None) -> float:
        """An RFC 3339 instant; without a default it cannot be left out."""
        self.known.add(parameter)
        text = self.values.get(parameter)
        if text is None:
            if default is None:
                self.refuse(parameter, f"The `{parameter}` query parameter is missing but it is required")
            return default or 0.0
        try:
            return from_iso(text)
        except (ValueError, OverflowError):
            self.refuse(parameter, f"The `{parameter}` query parameter value [{text}] is not a valid RFC3339 date time")
            return default or 0.0

    def id(self, parameter: str, default: int) -> int:
        """An id, as a number that can be compared."""
        self.known.add(parameter)
        text = self.values.get(parameter)
        if text is None:
            return default
        if not ID.fullmatch(text):
            self.refuse(parameter, f"The `{parameter}` query parameter value [{text}] is not valid")
            return default
        return int(text)

    def time_as_id(self, parameter: str, default: int) -> int:
        """An RFC 3339 instant, as the lowest id of its millisecond."""
        if parameter not in self.values:
            self.known.add(parameter)
            return default
        return first_id(self.time(parameter))

    def page(self) -> tuple[str, int] | None:
        """Direction ("older" or "newer") and id from a pagination token."""
        self.known.add("pagination_token")
        text = self.values.get("pagination_token")
        if text is None:
            return None
        try:
            direction, _, edge = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
            return {"older": "older", "newer": "newer"}[direction], int(edge)
        except (binascii.Error, ValueError, KeyError):
            self.refuse("pagination_token", f"The `pagination_token` query parameter value [{text}] is not valid")
            return None

    def check(self) -> None:
        """Raise BadQuery if anything asked for is unknown or was read and found wrong."""
        for parameter in self.values.keys() - self.known:
            known = ",".join(sorted(self.known))
            self.refuse(parameter, f"The query parameter [{parameter}] is not one of [{known}]")
        if self.wrong:
            raise BadQuery(invalid(self.wrong, self.new_names))

    def refuse(self, parameter: str, message: str) -> None:
        """Say what is wrong with a parameter; `check` raises it."""
        self.wrong.append(({parameter: [self.values[parameter]] if parameter in self.values else []}, message))


def page_token(direction: str, edge: int) -> str:
    """A pagination token that no client should read."""
    return base64.urlsafe_b64encode(f"{direction} {edge}".encode()).rstrip(b"=").decode()
