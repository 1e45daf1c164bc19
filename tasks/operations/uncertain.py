"""Posts whose delivery is uncertain: where to look for them, and a person's word of what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.connections import Connections
from tasks.domain.posts import NextStep, Outcome
from tasks.domain.reconciliation import fence
from tasks.domain.roles import Actor
from tasks.domain.sightings import made_at, place_on_x
from tasks.operations import activity
from tasks.operations.reconciliation import doubt_of, terms_of
from tasks.store import attempts, base, deletions, looks, posts
from tasks.store.attempts import Settled
from tasks.store.looks import Uncertain

Choice = Literal["published", "requeue", "discard"]


class Resolution(BaseModel):
    """A person's word on one post: X has it there, send it again, or never send it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    post_id: UUID
    choice: Choice
    url: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = None

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if (self.choice == "published") != (self.url is not None):
            raise ValueError("published needs the address of the post on X, and nothing else has one")
        return self


@dataclass(frozen=True)
class Resolved:
    """What became of one resolution; `said` is for people."""

    post_id: UUID
    result: Literal["resolved", "refused"]
    status: str | None
    said: str


@dataclass(frozen=True)
class Place:
    """An uncertain post with the addresses at which a person looks for it."""

    post: Uncertain
    look_at: tuple[str, ...]


async def uncertain(
    at: Connections, actor: Actor, *, bot: str | None = None, label: str | None = None, limit: int = 1000
) -> Sequence[Place]:
    """Posts that are held or unknown, held ones first, with where to look."""
    async with at.transaction() as session:
        found = await looks.uncertain(session, bot=bot, label=label, within=actor.within("posts.read"), limit=limit)
    return [Place(post, _look_at(at, post)) for post in found]


async def resolve(
    at: Connections, resolutions: Sequence[Resolution], actor: Actor, reason: str, even_so: bool = False
) -> list[Resolved]:
    """Settle each by a person's word; one that is refused stops no other.

    `even_so` lets a post be sent again although X may still take the first request: it may then be out twice.
    """
    resolved = []
    for one in resolutions:
        try:
            async with at.transaction() as session:
                resolved.append(await _resolve(session, at, one, actor, reason, even_so))
        except IntegrityError:
            resolved.append(Resolved(one.post_id, "refused", None, f"{one.url} is another post of ours"))
    return resolved


async def _resolve(
    session: AsyncSession, at: Connections, one: Resolution, actor: Actor, reason: str, even_so: bool
) -> Resolved:
    found = await looks.uncertain(session, post_id=one.post_id, within=actor.within("posts.resolve"))
    if found and found[0].attempt_id is not None:
        await looks.lock(session, [found[0].attempt_id])
        found = await looks.uncertain(session, post_id=one.post_id)
    if not found:
        return Resolved(one.post_id, "refused", None, "there is no such post that is held or unknown")
    post = found[0]
    if (objection := await _objection(session, at, post, one, even_so)) is not None:
        return Resolved(one.post_id, "refused", post.status, objection)
    said = f"{_SAID[one.choice]} by {actor.name}: {reason}"
    outcome, status = Outcome("not_arrived"), "scheduled" if one.choice == "requeue" else "cancelled"
    if one.choice == "published" and (place := place_on_x(one.url or "")):
        outcome, status = Outcome("accepted", x_post_id=place[1], published_at=made_at(place[1])), "published"
    if post.attempt_id is not None:
        step = NextStep(status, said)  # type: ignore[arg-type]  # three of its words
        await attempts.settle(session, [Settled(post.attempt_id, post.id, outcome, step)], by="person")
    if one.choice == "requeue":
        await posts.send_now(session, post.id)
    elif one.choice == "discard":
        await deletions.discard(session, post.id, actor.name, said)
    row = await posts.lock(session, post.id)
    await activity.note(
        session,
        actor,
        "posts.resolve",
        str(post.id),
        before={"status": post.status, "reason": post.reason},
        after={"status": status, "reason": said, **({"x_post_id": outcome.x_post_id} if outcome.x_post_id else {})},
        bot_id=row.bot_id if row else None,
        choice=one.choice,
        even_so=even_so,
    )
    return Resolved(post.id, "resolved", status, said)


_SAID = {"published": "found on X", "requeue": "sent again", "discard": "discarded"}


async def _objection(
    session: AsyncSession, at: Connections, post: Uncertain, one: Resolution, even_so: bool
) -> str | None:
    """Why this cannot be, in one line; None where it can."""
    if post.attempt_id is None:
        if one.choice == "discard":
            return None
        return f"it was never sent: its thread is broken; `vivesphere posts resume-thread {post.id}` lets it go on"
    if one.choice == "published":
        place = place_on_x(one.url or "")
        if place is None:
            return f"{one.url} is no address of a post; write https://x.com/{post.bot}/status/ID"
        if place[0] is not None and place[0].lower() != post.bot.lower():
            return f"{one.url} is a post of @{place[0]}, and this one is @{post.bot}'s"
    if one.choice == "requeue":
        now = await base.now(session)
        if post.expires_at is not None and post.expires_at <= now:
            return f"it expired at {post.expires_at:%Y-%m-%d %H:%M} UTC; discard it and schedule it anew"
        [doubt] = await looks.still_in_doubt(session, [post.attempt_id], ("held", "unknown"))
        fenced = fence(doubt_of(doubt), terms_of(at))
        if not even_so and (fenced is None or now < fenced):
            until = "nobody knows until when" if fenced is None else f"until {fenced:%H:%M:%S} UTC"
            return f"X may still take the first request, {until}: wait, or say --even-so and risk that it is out twice"
    return None


def _look_at(at: Connections, post: Uncertain) -> tuple[str, ...]:
    if post.attempt_id is None:
        return ()
    if at.places.settings.x.base_url is None:
        return (f"{at.places.x}/2/users/{post.x_user_id}/tweets",)
    candidates = tuple(f"https://x.com/{post.bot}/status/{x_post_id}" for x_post_id in post.x_post_ids)
    return candidates or (f"https://x.com/{post.bot}",)
