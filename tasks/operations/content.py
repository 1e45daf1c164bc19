"""Content as people handle it: evergreen texts, shifted posts, days on which nothing is said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from tasks.connections import Connections
from tasks.domain.cadence import at_wall
from tasks.domain.personas import Handle, Label
from tasks.domain.posts import Change, Draft
from tasks.domain.recurrence import Recurrence
from tasks.domain.roles import Actor
from tasks.operations import activity, posts
from tasks.operations.bots import NoSuchBotError
from tasks.operations.posts import NoSuchPostError, Receipt, TooLateError
from tasks.store import base, blackouts, bots, evergreen
from tasks.store import planning as store
from tasks.store.blackouts import BlackoutRow
from tasks.store.evergreen import EvergreenRow

DAY = timedelta(days=1)


class NoSuchContentError(LookupError):
    """There is no evergreen text or blackout with this id, or none of the asker's."""


class ContentTakenError(RuntimeError):
    """It stands already."""


class NoDraftError(RuntimeError):
    """The post is no draft; `status` says where it is."""

    def __init__(self, status: str) -> None:
        super().__init__(f"the post is {status}; only a draft can be released")
        self.status = status


class TextRefusedError(ValueError):
    """The gate refuses a wording; the message names rule and evidence."""


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewEvergreen(_Written):
    """A text of one bot that keeps, in several wordings; it comes again after `cooldown_days`, or by a recurrence."""

    bot: Handle
    name: Annotated[str, Field(min_length=1, max_length=100)]
    variants: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=25_000)], ...], Field(min_length=1, max_length=50)
    ]
    cooldown_days: Annotated[int, Field(ge=1, le=366)] = 30
    recurrence: Recurrence | None = None


class Shift(_Written):
    """Posts due from `since` to before `until` move by so many seconds, of a bot, of a label's bots, or of all."""

    seconds: Annotated[int, Field(ge=-31 * 86_400, le=31 * 86_400)]
    since: AwareDatetime
    until: AwareDatetime
    bot: Handle | None = None
    label: Label | None = None


class NewBlackout(_Written):
    """A day by each bot's own clock, for a bot, a label's bots, or (neither) the fleet."""

    day: date
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    bot: Handle | None = None
    label: Label | None = None

    @model_validator(mode="after")
    def _is_of_one(self) -> Self:
        if self.bot and self.label:
            raise ValueError("say bot or label, not both")
        return self


@dataclass(frozen=True)
class Moved:
    """A post that was shifted (`new_due_at`) or cancelled (None); `reasons` say why it was not."""

    post_id: UUID
    bot: str
    due_at: datetime
    new_due_at: datetime | None
    reasons: tuple[str, ...] = ()


async def add_evergreen(at: Connections, wanted: NewEvergreen, actor: Actor) -> EvergreenRow:
    """Add one; raises NoSuchBotError, TextRefusedError, and ContentTakenError where the bot has one of this name."""
    async with at.transaction() as session:
        tomorrow = await base.now(session) + DAY
    drafts = [Draft(bot=wanted.bot, text=text, due_at=tomorrow) for text in wanted.variants]
    for number, receipt in enumerate(await posts.schedule(at, drafts, actor, "plan", dry_run=True), start=1):
        if receipt.result == "refused":
            raise TextRefusedError(f"wording {number}: {'; '.join(receipt.reasons)}")
    async with at.transaction() as session:
        found = await bots.by_handles(session, [wanted.bot], actor.within("posts.schedule"))
        if not found:
            raise NoSuchBotError(wanted.bot)
        bot = found[wanted.bot.lower()]
        row = {
            **{"bot_id": bot.id, "name": wanted.name, "variants": list(wanted.variants)},
            **{"cooldown_days": wanted.cooldown_days, "created_by": actor.name},
            "recurrence": wanted.recurrence.model_dump(mode="json") if wanted.recurrence else None,
        }
        item_id = await evergreen.add(session, row)
        if item_id is None:
            raise ContentTakenError(f"@{bot.handle} has an evergreen text '{wanted.name}' already; name it otherwise")
        await activity.note(
            session, actor, "evergreen.add", str(item_id), bot_id=bot.id, name=wanted.name, wordings=len(drafts)
        )
        return next(one for one in await evergreen.of_bots(session, None) if one.id == item_id)


async def release(at: Connections, post_id: UUID, actor: Actor) -> Receipt:
    """Let a draft go out at its instant, judged anew; what the gate refuses stays a draft.

    Raises NoSuchPostError and NoDraftError.
    """
    post = (await posts.history(at, post_id, actor)).post
    if post.status != "draft":
        raise NoDraftError(post.status)
    # The same text at the same instant, as a revision of its own: what goes out is what the gate has seen now.
    _, receipt = await posts.edit(at, post_id, Change(due_at=post.due_at), actor, post.revision)
    if receipt.result == "refused":
        return receipt
    status: Literal["scheduled", "awaiting_approval"] = (
        "awaiting_approval" if receipt.result == "awaiting_approval" else "scheduled"
    )
    async with at.transaction() as session:
        if not await store.release(session, post_id, status):
            raise NoDraftError("no draft any more")
        await activity.note(
            session, actor, "posts.release", str(post_id), before={"status": "draft"}, after={"status": status}
        )
    return receipt


async def list_evergreen(at: Connections, actor: Actor) -> Sequence[EvergreenRow]:
    """Texts of the bots that the actor may see."""
    async with at.transaction() as session:
        return await evergreen.of_bots(session, actor.within("posts.read"))


async def remove_evergreen(at: Connections, item_id: UUID, actor: Actor) -> EvergreenRow:
    """Remove one; raises NoSuchContentError."""
    async with at.transaction() as session:
        row = await evergreen.remove(session, item_id, actor.within("posts.schedule"))
        if row is None:
            raise NoSuchContentError(f"evergreen text {item_id}")
        await activity.note(session, actor, "evergreen.remove", str(item_id), bot_id=row.bot_id, name=row.name)
    return row


async def shift(at: Connections, wanted: Shift, actor: Actor, dry_run: bool = False) -> Sequence[Moved]:
    """Move posts that wait for their instant, each judged anew; one that is refused or under way stays."""
    async with at.transaction() as session:
        within = actor.within("posts.schedule")
        found = await store.between(session, wanted.since, wanted.until, within, wanted.bot, wanted.label)
    moved = []
    for post_id, bot, _, due_at in found:
        new = due_at + timedelta(seconds=wanted.seconds)
        moved.append(Moved(post_id, bot, due_at, new, () if dry_run else await _moved(at, post_id, new, actor)))
    return moved


async def _moved(at: Connections, post_id: UUID, due_at: datetime, actor: Actor) -> tuple[str, ...]:
    try:
        _, receipt = await posts.edit(at, post_id, Change(due_at=due_at), actor)
    except (NoSuchPostError, TooLateError) as error:
        return (str(error),)
    return () if receipt.result != "refused" else receipt.reasons


async def black_out(
    at: Connections, wanted: NewBlackout, actor: Actor, dry_run: bool = False
) -> tuple[BlackoutRow | None, Sequence[Moved]]:
    """Cancel what is scheduled on a day, in each bot's own zone, and plan nothing on it.

    Raises NoSuchBotError, ContentTakenError, and PermissionError for more than the actor's labels.
    """
    within = actor.within("posts.cancel")
    async with at.transaction() as session:
        bot = None
        if wanted.bot:
            known = await bots.by_handles(session, [wanted.bot], within)
            if not known:
                raise NoSuchBotError(wanted.bot)
            bot = known[wanted.bot.lower()]
        elif within is not None and wanted.label not in within:
            raise PermissionError(f"say --label with one of yours: {', '.join(sorted(within))}")
        if not dry_run:
            row = {"day": wanted.day, "bot_id": bot.id if bot else None, "label": wanted.label}
            blackout_id = await blackouts.add(session, {**row, "reason": wanted.reason, "created_by": actor.name})
            if blackout_id is None:
                raise ContentTakenError(f"{wanted.day} is blacked out already for these bots")
            await activity.note(
                session,
                actor,
                "blackouts.add",
                str(blackout_id),
                bot_id=bot.id if bot else None,
                day=wanted.day.isoformat(),
                label=wanted.label,
            )
        noon = datetime.combine(wanted.day, time(12), UTC)
        # Zones are up to 14 hours away; which day it is by a bot's clock is asked below.
        near = await store.between(session, noon - 2 * DAY, noon + 2 * DAY, within, wanted.bot, wanted.label)
    cancelled = []
    for post_id, handle, zone, due_at in near:
        start, end = (at_wall(day, time(), ZoneInfo(zone)) for day in (wanted.day, wanted.day + DAY))
        if start <= due_at < end:
            why = () if dry_run else await _cancelled(at, post_id, actor)
            cancelled.append(Moved(post_id, handle, due_at, None, why))
    if dry_run:
        return None, cancelled
    async with at.transaction() as session:
        rows = await blackouts.since(session, wanted.day, None)
    return next(one for one in rows if one.id == blackout_id), cancelled


async def _cancelled(at: Connections, post_id: UUID, actor: Actor) -> tuple[str, ...]:
    try:
        await posts.cancel(at, post_id, actor)
    except (NoSuchPostError, TooLateError) as error:
        return (str(error),)
    return ()


async def list_blackouts(at: Connections, actor: Actor) -> Sequence[BlackoutRow]:
    """Those from yesterday on that touch bots the actor may see: somewhere it is still that day."""
    async with at.transaction() as session:
        yesterday = (await base.now(session)).date() - DAY
        return await blackouts.since(session, yesterday, actor.within("posts.read"))


async def lift(at: Connections, blackout_id: UUID, actor: Actor) -> BlackoutRow:
    """End one; raises NoSuchContentError."""
    async with at.transaction() as session:
        row = await blackouts.remove(session, blackout_id, actor.within("posts.cancel"))
        if row is None:
            raise NoSuchContentError(f"blackout {blackout_id}")
        await activity.note(session, actor, "blackouts.lift", str(blackout_id), day=row.day.isoformat())
    return row
