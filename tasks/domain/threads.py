"""Threads: drafts of one bot that are said one after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tasks.domain.posts import Draft
from tasks.domain.schedule import planned


@dataclass(frozen=True)
class Plan:
    """When a post is meant to leave, and its place in a thread."""

    planned_at: datetime
    thread_id: UUID | None = None
    thread_place: int | None = None


def groups(drafts: Sequence[Draft]) -> list[list[int]]:
    """The places of drafts that form threads, each in its order; a thread of one is a post."""
    found: dict[tuple[str, str], list[int]] = {}
    for place, draft in enumerate(drafts):
        if draft.thread is not None:
            found.setdefault((draft.bot.lower(), draft.thread), []).append(place)
    return [places for places in found.values() if len(places) > 1]


def objection(parts: Sequence[Draft]) -> str | None:
    """What is wrong with the parts as a thread."""
    for number, (before, part) in enumerate(zip(parts, parts[1:], strict=False), start=2):
        if part.due_at < before.due_at:
            return f"part {number} is due before part {number - 1}"
        if part.reply_to_x_post_id is not None:
            return f"part {number} replies to the part before it, so it cannot reply to another post"
    return None


def plans(drafts: Mapping[UUID, Draft], threads: Sequence[Sequence[UUID]]) -> dict[UUID, Plan]:
    """The plan of each draft; only the first part of a thread is spread, and no other is planned before it."""
    found = {
        post_id: Plan(planned(draft.due_at, draft.spread_seconds, draft.expires_at, post_id))
        for post_id, draft in drafts.items()
    }
    for parts in threads:
        first = found[parts[0]].planned_at
        for place, post_id in enumerate(parts, start=1):
            instant = first if place == 1 else max(first, drafts[post_id].due_at)
            found[post_id] = Plan(instant, parts[0], place)
    return found
