"""Threads that broke: what is left of one goes on behind what is out."""

from dataclasses import dataclass
from uuid import UUID

from tasks.connections import Connections
from tasks.domain.roles import Actor
from tasks.operations import activity
from tasks.operations.posts import NoSuchPostError
from tasks.store import posts, threads

GONE = ("refused", "expired", "cancelled", "deleted", "rejected")
LEFT = ("held", "scheduled")


class ThreadError(RuntimeError):
    """The thread cannot go on; the message says why, and what to do."""


@dataclass(frozen=True)
class Resumed:
    """What became of the parts, by id: those that go on, in their order, and those that left the thread."""

    going_on: tuple[UUID, ...]
    left_out: tuple[UUID, ...]


async def resume(at: Connections, post_id: UUID, actor: Actor) -> Resumed:
    """Let the rest of a broken thread follow its last part that is out; raises NoSuchPostError and ThreadError."""
    async with at.transaction() as session:
        seen = await posts.get(session, post_id, actor.within("posts.schedule"))
        parts = await threads.lock_parts(session, post_id) if seen else []
        if not parts:
            raise NoSuchPostError(str(post_id))
        if doubtful := [part.place for part in parts if part.in_doubt or part.status in ("sending", "unknown")]:
            raise ThreadError(
                f"part {doubtful[0]} is in doubt: settle it first, `vivesphere posts resolve` says how to"
            )
        broken = [part for part in parts if part.status in GONE]
        left = [part for part in parts if part.status in LEFT]
        if not broken or not left:
            raise ThreadError("this thread is whole: nothing is left to go on")
        await threads.leave(session, [part.id for part in broken])
        out = sum(part.status == "published" for part in parts)
        for place, part in enumerate(left, start=out + 1):
            await threads.follow(session, part.id, place)
        await activity.note(session, actor, "posts.resume_thread", str(post_id), bot=parts[0].bot, parts=len(left))
    return Resumed(tuple(part.id for part in left), tuple(part.id for part in broken))
