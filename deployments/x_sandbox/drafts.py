"""The body of a create, checked as X checks it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deployments.x_sandbox.queries import ID

REPLY_SETTINGS = ("following", "mentionedUsers", "subscribers", "verified")
NOT_OFFERED = frozenset(
    "card_uri community_id direct_message_deep_link edit_options for_super_followers_only geo nullcast "
    "share_with_followers".split()
)
NOT_OFFERED_MEDIA = frozenset("call_to_actions description embeddable preview_media_id tagged_user_ids title".split())
"""Parts of X's schema that this X does not play; taking them silently would be a lie."""

POLL_OPTIONS_LEAST, POLL_OPTIONS_MOST, POLL_OPTION_LENGTH_MAX = 2, 4, 25
POLL_MINUTES_LEAST, POLL_MINUTES_MOST = 5, 10_080
MEDIA_MOST = 4
ALONE = {"media_ids": "media", "poll": "poll", "quoted": "quote_tweet_id"}
"""Parts of which a post has at most one."""

Messages = list[tuple[dict[str, list[str]], str]]


@dataclass(slots=True)
class Draft:
    """A create that fits X's schema; `extras` are its optional parts by the ledger's names."""

    text: str
    extras: dict[str, Any]


class BadDraft(Exception):
    """The body does not fit; `messages` say where."""

    def __init__(self, messages: Messages) -> None:
        self.messages = messages


def draft(body: bytes, content_type: str) -> Draft:
    """Read a create. Raises BadDraft with everything that was wrong."""
    if not content_type.startswith("application/json"):
        raise BadDraft([({}, "Requests with bodies must have content-type of application/json.")])
    try:
        whole = json.loads(body)
    except ValueError:
        raise BadDraft([({}, "Could not parse the request body as JSON.")]) from None
    if not isinstance(whole, dict):
        raise BadDraft([({}, "$: must be an object")])
    made = Draft("", {})
    wrong = [message for name, value in whole.items() if (message := _PARTS.get(name, _strange)(made, name, value))]
    if len(both := sorted(ALONE[name] for name in made.extras.keys() & ALONE.keys())) > 1:
        wrong.append(f"$: {' and '.join(both)} exclude each other")
    if wrong:
        raise BadDraft([({}, message) for message in wrong])
    return made


def _strange(_: Draft, name: str, __: Any) -> str | None:
    if name in NOT_OFFERED:
        return f"$.{name}: is not offered by this sandbox"
    return f"$.{name}: is not defined in the schema and the schema does not allow additional properties"


def _text(made: Draft, name: str, value: Any) -> str | None:
    if not isinstance(value, str):
        return f"$.{name}: {_type_name(value)} found, string expected"
    made.text = value
    return None


def _flag(made: Draft, name: str, value: Any) -> str | None:
    if not isinstance(value, bool):
        return f"$.{name}: {_type_name(value)} found, boolean expected"
    if value:
        made.extras[name] = True
    return None


def _reply_settings(made: Draft, name: str, value: Any) -> str | None:
    if value not in REPLY_SETTINGS:
        return f"$.{name}: does not have a value in the enumeration [{', '.join(REPLY_SETTINGS)}]"
    made.extras[name] = value
    return None


def _quote(made: Draft, name: str, value: Any) -> str | None:
    return _id(made, "quoted", f"$.{name}", value)


def _reply(made: Draft, name: str, value: Any) -> str | None:
    if not isinstance(value, dict):
        return f"$.{name}: {_type_name(value)} found, object expected"
    known = {"in_reply_to_tweet_id", "auto_populate_reply_metadata", "exclude_reply_user_ids"}
    for strange in value.keys() - known:
        return _strange(made, f"{name}.{strange}", None)
    if "in_reply_to_tweet_id" not in value:
        return f"$.{name}.in_reply_to_tweet_id: is missing but it is required"
    return _id(made, "in_reply_to", f"$.{name}.in_reply_to_tweet_id", value["in_reply_to_tweet_id"])


def _poll(made: Draft, name: str, value: Any) -> str | None:
    if not isinstance(value, dict):
        return f"$.{name}: {_type_name(value)} found, object expected"
    for strange in value.keys() - {"options", "duration_minutes", "reply_settings"}:
        return _strange(made, f"{name}.{strange}", None)
    for missing in ("options", "duration_minutes"):
        if missing not in value:
            return f"$.{name}.{missing}: is missing but it is required"
    options, minutes = value["options"], value["duration_minutes"]
    if wrong := _wrong_options(options) or _wrong_minutes(minutes):
        return f"$.{name}.{wrong}"
    made.extras[name] = {"options": options, "duration_minutes": minutes}
    return None


def _wrong_options(options: Any) -> str | None:
    if not isinstance(options, list):
        return f"options: {_type_name(options)} found, array expected"
    if len(options) < POLL_OPTIONS_LEAST:
        return f"options: there must be a minimum of {POLL_OPTIONS_LEAST} items in the array"
    if len(options) > POLL_OPTIONS_MOST:
        return f"options: there must be a maximum of {POLL_OPTIONS_MOST} items in the array"
    for at, option in enumerate(options):
        if not isinstance(option, str):
            return f"options[{at}]: {_type_name(option)} found, string expected"
        if not option.strip():
            return f"options[{at}]: must be at least 1 characters long"
        if len(option) > POLL_OPTION_LENGTH_MAX:
            return f"options[{at}]: may only be {POLL_OPTION_LENGTH_MAX} characters long"
    return None


def _wrong_minutes(minutes: Any) -> str | None:
    if not isinstance(minutes, int) or isinstance(minutes, bool):
        return f"duration_minutes: {_type_name(minutes)} found, integer expected"
    if minutes < POLL_MINUTES_LEAST:
        return f"duration_minutes: must have a minimum value of {POLL_MINUTES_LEAST}"
    if minutes > POLL_MINUTES_MOST:
        return f"duration_minutes: must have a maximum value of {POLL_MINUTES_MOST}"
    return None


def _media(made: Draft, name: str, value: Any) -> str | None:
    if not isinstance(value, dict):
        return f"$.{name}: {_type_name(value)} found, object expected"
    for strange in value.keys() - {"media_ids"}:
        if strange in NOT_OFFERED_MEDIA:
            return f"$.{name}.{strange}: is not offered by this sandbox"
        return _strange(made, f"{name}.{strange}", None)
    ids = value.get("media_ids")
    if not isinstance(ids, list):
        return f"$.{name}.media_ids: {_type_name(ids)} found, array expected"
    if not 1 <= len(ids) <= MEDIA_MOST:
        return f"$.{name}.media_ids: there must be 1 to {MEDIA_MOST} items in the array"
    if not all(isinstance(each, str) and ID.fullmatch(each) for each in ids):
        return f"$.{name}.media_ids: does not match the regex pattern ^[0-9]{{1,19}}$"
    made.extras["media_ids"] = ids
    return None


def _id(made: Draft, name: str, where: str, value: Any) -> str | None:
    if not isinstance(value, str):
        return f"{where}: {_type_name(value)} found, string expected"
    if not ID.fullmatch(value):
        return f"{where}: does not match the regex pattern ^[0-9]{{1,19}}$"
    made.extras[name] = value
    return None


def _type_name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "null")


_PARTS: dict[str, Callable[[Draft, str, Any], str | None]] = {
    "text": _text,
    "reply": _reply,
    "quote_tweet_id": _quote,
    "media": _media,
    "poll": _poll,
    "reply_settings": _reply_settings,
    "made_with_ai": _flag,
    "paid_partnership": _flag,
}
