"""When a post is meant to go out: what people write, as an instant."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

_RELATIVE = re.compile(r"^\+\s*(\d{1,6})\s*(s|m|h|d)$")
_DURATION = re.compile(r"^(\d{1,6})\s*(s|m|h|d)$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LOCAL = re.compile(r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?$")
FORMS = "write 2026-12-01 09:00 (the bot's own time), 2026-12-01T09:00+01:00, +10m or now"


class WhenError(ValueError):
    """A time that means nothing, or that does not exist; the message says what to write."""


@dataclass(frozen=True)
class When:
    """An instant in UTC; `note` says how it was read where the words could mean two."""

    at: datetime
    note: str | None = None


def duration(text: str) -> timedelta:
    """The length of time that `text` names, such as 90s, 10m, 2h or 1d; raises WhenError."""
    if found := _DURATION.match(text.strip().lower()):
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    raise WhenError(f"'{text}' is no length of time; write 90s, 10m, 2h or 1d")


def planned(due_at: datetime, spread_seconds: int, expires_at: datetime | None, post_id: UUID) -> datetime:
    """The instant at which a post is meant to leave: due, or up to `spread_seconds` later and before it expires.

    Posts that are due at once are spread evenly; a post's own place follows from its id and so never changes.
    """
    room = timedelta(seconds=spread_seconds)
    if expires_at is not None:
        room = min(room, max(expires_at - due_at, timedelta()))
    share = int.from_bytes(hashlib.sha256(post_id.bytes).digest()[:4]) / 2**32
    return due_at + share * room


def needs_zone(text: str) -> bool:
    """True for a time of day without a zone: which instant it is depends on the bot."""
    return _LOCAL.match(text.strip()) is not None


def instant(text: str, now: datetime, zone: ZoneInfo | None) -> When:
    """The instant that `text` names; raises WhenError. `zone` is the bot's."""
    plain = text.strip()
    if plain.lower() == "now":
        return When(now)
    if relative := _RELATIVE.match(plain.lower()):
        return When(now + timedelta(**{_UNITS[relative[2]]: int(relative[1])}))
    try:
        found = datetime.fromisoformat(plain)
    except ValueError:
        raise WhenError(f"'{text}' is no time; {FORMS}") from None
    if found.tzinfo is not None:
        return When(found.astimezone(UTC))
    if not needs_zone(plain):
        raise WhenError(f"'{text}' is no time of a day; {FORMS}")
    if zone is None:
        raise WhenError(f"'{text}' has no time zone; write one behind it, such as {plain}+01:00")
    return _in_zone(found, zone)


def _in_zone(wall: datetime, zone: ZoneInfo) -> When:
    first, second = wall.replace(tzinfo=zone, fold=0), wall.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return When(first.astimezone(UTC))
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall:
        # In the gap the two readings are the instants by the old and by the new offset.
        earlier, later = sorted((first.astimezone(UTC), second.astimezone(UTC)))
        raise WhenError(
            f"{_shown(wall)} does not exist in {zone.key}: clocks are put forward that day; "
            f"write {_shown(earlier.astimezone(zone))} or {_shown(later.astimezone(zone))}"
        )
    # Not as it stands: Python holds a wall time that comes twice equal to no instant at all.
    return When(
        first.astimezone(UTC),
        f"{_shown(wall)} comes twice in {zone.key}: the first is meant, {first.isoformat(timespec='minutes')}; "
        f"for the second write {second.isoformat(timespec='minutes')}",
    )


def _shown(wall: datetime) -> str:
    return wall.strftime("%Y-%m-%d %H:%M")
