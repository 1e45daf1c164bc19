"""Feeds as people handle them, and their reading: entries become drafts, which a person releases."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from blocks.documents import UnreadableError
from blocks.feeds import parse_feed
from blocks.trend_sources.source import Address
from tasks.connections import Connections
from tasks.domain import planning
from tasks.domain.feeds import FeedEntry, NewFeed, Utm, key_of, text_of
from tasks.domain.personas import Cadence
from tasks.domain.planning import Name, Speaker
from tasks.domain.posts import Draft
from tasks.domain.roles import Actor, system
from tasks.domain.templates import BadTemplateError
from tasks.operations import activity, posts
from tasks.operations.bots import NoSuchBotError
from tasks.operations.content import ContentTakenError, NoSuchContentError
from tasks.operations.planning import LEAD, alone, speakers_of
from tasks.operations.trend_pages import Unreachable, fetch
from tasks.store import base, bots, feeds
from tasks.store import planning as store
from tasks.store.feeds import FeedRow

FLOW = "read-feeds"
# An entry that its feed has not held for so long is forgotten, and would be new if it came again.
REMEMBERED_DAYS = 90
# Entries of a feed that become drafts in one reading; the rest waits for the next.
AT_ONCE = 50
# How far ahead an entry may be planned: news grow old.
AHEAD_DAYS = 7


@dataclass(frozen=True)
class Reading:
    """What a reading of a feed brought: `problem` where it brought nothing, and each entry's fate otherwise."""

    feed: FeedRow
    problem: str | None = None
    planned: int = 0
    refused: Sequence[str] = ()


async def add(at: Connections, wanted: NewFeed, actor: Actor) -> FeedRow:
    """Add one; raises NoSuchBotError, and ContentTakenError where the bot has it, or one of this name."""
    async with at.transaction() as session:
        found = await bots.by_handles(session, [wanted.bot], actor.within("posts.schedule"))
        if not found:
            raise NoSuchBotError(wanted.bot)
        bot = found[wanted.bot.lower()]
        row = wanted.model_dump(exclude={"bot"})
        feed_id = await feeds.add(session, {**row, "bot_id": bot.id, "created_by": actor.name})
        if feed_id is None:
            raise ContentTakenError(f"@{bot.handle} has this feed, or one called '{wanted.name}', already")
        await activity.note(session, actor, "feeds.add", str(feed_id), bot_id=bot.id, name=wanted.name)
        return next(one for one in await feeds.of_bots(session, None) if one.id == feed_id)


async def list_all(at: Connections, actor: Actor) -> Sequence[FeedRow]:
    """Feeds of the bots that the actor may see."""
    async with at.transaction() as session:
        return await feeds.of_bots(session, actor.within("posts.read"))


async def remove(at: Connections, feed_id: UUID, actor: Actor) -> FeedRow:
    """Remove one with what is known of its entries; drafts that were made of them stay. Raises NoSuchContentError."""
    async with at.transaction() as session:
        row = await feeds.remove(session, feed_id, actor.within("posts.schedule"))
        if row is None:
            raise NoSuchContentError(f"feed {feed_id}")
        await activity.note(session, actor, "feeds.remove", str(feed_id), bot_id=row.bot_id, name=row.name)
    return row


async def read_all(at: Connections) -> Sequence[Reading]:
    """Read every feed once, and make drafts of what is new; one that fails stops no other.

    Raises PlanningUnderWayError.
    """
    async with alone(at):
        async with at.transaction() as session:
            found = await feeds.of_bots(session, None)
        return [await _read(at, feed) for feed in found]


async def _read(at: Connections, feed: FeedRow) -> Reading:
    """Read one; what stands at its first reading is taken for old."""
    async with at.transaction() as session:
        now = await base.now(session)
    page = await fetch(at, Address(feed.url), now)
    if isinstance(page, Unreachable):
        return await _failed(at, feed, page.reason)
    try:
        brought = parse_feed(page)
    except UnreadableError as error:
        return await _failed(at, feed, str(error))
    entries = {
        one.guid: FeedEntry(one.guid, one.title, one.link, one.summary, one.published_at) for one in brought.entries
    }
    async with at.transaction() as session:
        await feeds.seen(session, feed.id, list(entries.values()), first=feed.good_at is None)
        await feeds.forget(session, feed.id, REMEMBERED_DAYS)
    return await _planned(at, feed, now)


async def _failed(at: Connections, feed: FeedRow, problem: str) -> Reading:
    async with at.transaction() as session:
        await feeds.failed(session, feed.id, problem)
    return Reading(feed, problem)


async def _planned(at: Connections, feed: FeedRow, now: datetime) -> Reading:
    """Drafts of entries that wait, each at a free turn of its bot, no day with more than the feed's cap."""
    actor = system(FLOW)
    async with at.transaction() as session:
        waiting = await feeds.waiting(session, feed.id, AT_ONCE)
        try:
            speakers = await speakers_of(session, actor, [feed.bot], now) if waiting else ()
        except NoSuchBotError:
            return Reading(feed, f"@{feed.bot} is retired or suspended: its entries wait")
        made = await store.of_feed(session, feed.bot_id, feed.id)
        # Made before a reading broke off, which could not note it any more.
        known = {name.key for name in made}
        for entry in [one for one in waiting if key_of(feed.id.hex, one.guid) in known]:
            await feeds.settle(session, feed.id, entry.guid, "planned", None)
    planned = 0
    refused: list[str] = []
    if not speakers:
        return Reading(feed)
    fresh = [one for one in waiting if key_of(feed.id.hex, one.guid) not in known]
    turns = _turns(speakers[0], feed, Counter(name.day for name in made), now)
    for entry, due_at in zip(fresh, turns, strict=False):
        problem = await _draft(at, feed, speakers[0], entry, due_at, actor)
        planned += problem is None
        if problem is not None:
            refused.append(problem)
        async with at.transaction() as session:
            await feeds.settle(session, feed.id, entry.guid, "refused" if problem else "planned", problem)
    return Reading(feed, None, planned, tuple(refused))


def _turns(speaker: Speaker, feed: FeedRow, made: Counter[date], now: datetime) -> Sequence[datetime]:
    cadence = speaker.persona.cadence or Cadence(posts_per_day=feed.cap_per_day)
    with_turns = replace(speaker, persona=speaker.persona.model_copy(update={"cadence": cadence}))
    found = []
    for turn in planning.free_turns(with_turns, now + LEAD, AT_ONCE):
        day = turn.astimezone(speaker.zone).date()
        if made[day] < feed.cap_per_day and turn < now + timedelta(days=AHEAD_DAYS):
            made[day] += 1
            found.append(turn)
    return found


async def _draft(
    at: Connections, feed: FeedRow, speaker: Speaker, entry: FeedEntry, due_at: datetime, actor: Actor
) -> str | None:
    """Make one; answers why it could not be."""
    key = key_of(feed.id.hex, entry.guid)
    name = Name("feed", key, due_at.astimezone(speaker.zone).date(), f"f-{key[-8:]}")
    try:
        text = text_of(entry, feed.template, Utm.model_validate(feed.utm) if feed.utm else None)
    except BadTemplateError as error:
        return str(error)
    draft = Draft(bot=feed.bot, text=text, due_at=due_at.astimezone(UTC), external_id=str(name), template=feed.name)
    [receipt] = await posts.schedule(at, [draft], actor, "plan", as_draft=True)
    return "; ".join(receipt.reasons) if receipt.result == "refused" else None
