"""Misfires: what becomes of a post that could not leave at its planned instant."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from tasks.domain.personas import WEEKDAYS, ActiveWindow
from tasks.domain.schedule import WhenError, duration

Misfire = Literal["send_if_within", "skip", "next_window"]

IF_LATE_FORMS = "write skip, next-window, or how late it may be, such as 30m"

# Windows recur weekly; one more day covers the one that is closed by now.
DAYS_AHEAD = 8


@dataclass(frozen=True)
class LatePost:
    """A post whose instant has passed while nobody could send it."""

    id: UUID
    bot_id: UUID
    planned_at: datetime
    misfire: Misfire
    within: timedelta
    expires_at: datetime | None
    time_zone: str
    windows: tuple[ActiveWindow, ...]


@dataclass(frozen=True)
class CaughtUp:
    """Where a late post goes: `at` is its new turn, None where its policy gives it up; `reason` is for people."""

    post_id: UUID
    at: datetime | None
    reason: str


def if_late(text: str) -> tuple[Misfire, timedelta | None]:
    """The policy that people mean by `skip`, `next-window` or a length of time; raises WhenError."""
    match text.strip().lower().replace("_", "-"):
        case "skip":
            return "skip", None
        case "next-window":
            return "next_window", None
        case other:
            try:
                return "send_if_within", duration(other)
            except WhenError:
                raise WhenError(f"'{text}' says nothing of a post that is late; {IF_LATE_FORMS}") from None


def catch_up(
    late: Iterable[LatePost], now: datetime, gap: timedelta, taken: Mapping[UUID, Sequence[datetime]]
) -> Sequence[CaughtUp]:
    """Give each late post a turn by its policy: of one bot never two within `gap`, so that no bot bursts.

    `taken` are the turns that a bot has had lately or was given before; the older plan goes first.
    """
    turns = {bot_id: list(instants) for bot_id, instants in taken.items()}
    found: list[CaughtUp] = []
    for post in sorted(late, key=lambda post: (post.planned_at, post.id)):
        said = f"{_span(now - post.planned_at)} late"
        of_bot = turns.setdefault(post.bot_id, [])
        turn = _turn(post, now, gap, of_bot)
        if post.misfire == "skip":
            found.append(CaughtUp(post.id, None, f"{said}, and it is to be skipped then"))
        elif post.misfire == "send_if_within" and turn > post.planned_at + post.within:
            found.append(CaughtUp(post.id, None, f"{said}, and it is sent within {_span(post.within)} or not at all"))
        elif post.expires_at is not None and turn >= post.expires_at:
            found.append(CaughtUp(post.id, None, f"{said}, and it expires before its next turn"))
        else:
            of_bot.append(turn)
            how = "moved to the bot's next window" if post.misfire == "next_window" else "sent at the bot's next turn"
            found.append(CaughtUp(post.id, turn, f"{said}: {how}"))
    return found


def _turn(post: LatePost, now: datetime, gap: timedelta, taken: Sequence[datetime]) -> datetime:
    turn = now
    while True:
        for other in sorted(taken):
            if abs(turn - other) < gap:
                turn = other + gap
        opens = next_open(post.windows, ZoneInfo(post.time_zone), turn) if post.misfire == "next_window" else turn
        if opens == turn:
            return turn
        turn = opens


def next_open(windows: Sequence[ActiveWindow], zone: ZoneInfo, after: datetime) -> datetime:
    """The first instant from `after` on at which a window is open; a bot without windows may always speak."""
    if not windows:
        return after
    today = after.astimezone(zone).date()
    spans = [
        (datetime.combine(day, window.opens, zone), datetime.combine(day, window.closes, zone))
        for day in (today + timedelta(days=number) for number in range(DAYS_AHEAD))
        for window in windows
        if WEEKDAYS[day.weekday()] in window.days
    ]
    # Compared as instants: Python compares two times of one zone by their faces, which an hour put back makes wrong.
    instants = [(opens.timestamp(), closes.timestamp()) for opens, closes in spans]
    first = min(max(opens, after.timestamp()) for opens, closes in instants if closes > after.timestamp())
    return after if first == after.timestamp() else datetime.fromtimestamp(first, after.tzinfo)


def _span(length: timedelta) -> str:
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes and not seconds else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
