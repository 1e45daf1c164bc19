"""Which posts on a timeline could be the one that is looked for."""

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tasks.domain.posts import folded
from tasks.domain.reconciliation import Seen

# An id of X carries the millisecond it was made in, counted from this instant on, above 22 bits of other things.
_X_EPOCH = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1_288_834_974_657)
_X_ID_BITS = 22


@dataclass(frozen=True)
class Sighting:
    """A post on a timeline, as X gives it out: escaped, its links shortened.

    `links` leads from each short link to what was written; None for a link that X added by itself.
    """

    x_post_id: str
    text: str
    links: Mapping[str, str | None]
    replied_to: str | None = None
    quoted: str | None = None
    media_keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wanted:
    """What an attempt sent, and between which instants of X's clock it can have been taken; `until` None is no end.

    `follows_ours`: it replies to the part before it in a thread, which nothing else of this account does.
    `media_keys` are those of the uploads that were made for this attempt alone.
    """

    text: str
    since: datetime
    until: datetime | None
    replied_to: str | None = None
    quoted: str | None = None
    follows_ours: bool = False
    media_keys: frozenset[str] = frozenset()


def look_for(wanted: Wanted, timeline: Iterable[Sighting], taken: Iterable[str]) -> tuple[Seen, tuple[str, ...]]:
    """What a whole timeline shows of it; `taken` are posts on X that are known to be others of ours."""
    others = frozenset(taken)
    found = tuple(one.x_post_id for one in timeline if one.x_post_id not in others and _fits(wanted, one))
    if not found:
        return "none", ()
    if len(found) > 1:
        return "several", found
    return ("marked" if wanted.follows_ours or wanted.media_keys else "alike"), found


def made_at(x_post_id: str) -> datetime:
    """The instant, by X's clock, at which X took a post."""
    return _X_EPOCH + timedelta(milliseconds=int(x_post_id) >> _X_ID_BITS)


_PLACE_ON_X = re.compile(
    r"(?:https?://)?(?:www\.|mobile\.)?(?:x|twitter)\.com/(?P<handle>\w{1,15}|i/web|i)/status/(?P<id>[0-9]{1,19})(?:[/?#].*)?"
)


def place_on_x(written: str) -> tuple[str | None, str] | None:
    """Handle and id of the post that an address (or a bare id) names; the handle is None where it says none."""
    plain = written.strip()
    if re.fullmatch(r"[0-9]{1,19}", plain):
        return None, plain
    found = _PLACE_ON_X.fullmatch(plain)
    if found is None:
        return None
    return (None if found["handle"] in ("i", "i/web") else found["handle"]), found["id"]


def id_before(instant: datetime) -> str:
    """An id below that of every post that X took from this instant on; where to begin to read."""
    milliseconds = (instant - _X_EPOCH) // timedelta(milliseconds=1)
    return str(max((milliseconds << _X_ID_BITS) - 1, 1))


def says(shown: Sighting, text: str) -> bool:
    """True where X's form of a text is this text: unescaped, links as they were written, NFC, white space folded."""
    told = shown.text
    for added in (short for short, written in shown.links.items() if written is None):
        told = told.replace(added, "")
    written = {short: address for short, address in shown.links.items() if address is not None}
    pieces = re.split(f"({'|'.join(map(re.escape, written))})", told.strip()) if written else [told.strip()]
    pattern = "".join(_link(written[piece]) if piece in written else _literal(piece) for piece in pieces)
    return re.fullmatch(pattern, folded(text)) is not None


def _fits(wanted: Wanted, one: Sighting) -> bool:
    made = made_at(one.x_post_id)
    return (
        wanted.since <= made
        and (wanted.until is None or made <= wanted.until)
        and (one.replied_to, one.quoted) == (wanted.replied_to, wanted.quoted)
        and (not wanted.media_keys or one.media_keys == wanted.media_keys)
        and says(one, wanted.text)
    )


def _link(written: str) -> str:
    """X writes a scheme in front of a bare host, and may close it with a stroke."""
    scheme = "http://" if written.lower().startswith("http://") else "https://"
    host = written[len(scheme) :] if written.lower().startswith(scheme) else written
    return f"(?:(?i:{scheme}))?{re.escape(host.rstrip('/'))}/?"


def _literal(piece: str) -> str:
    plain = unicodedata.normalize("NFC", html.unescape(piece))
    return r"\s+".join(re.escape(part) for part in re.split(r"\s+", plain))
