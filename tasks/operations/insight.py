"""Insight as people ask for it: the best posts, how a post went, how a bot does, and which hours are good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from tasks.connections import Connections
from tasks.domain.roles import Actor
from tasks.operations.bots import NoSuchBotError
from tasks.operations.posts import NoSuchPostError
from tasks.store import base, best_times, bot_insights, bots, metrics, post_results, posts, rollups
from tasks.store.best_times import HourOfWeek
from tasks.store.bot_insights import BotInsight
from tasks.store.bots import BotRow
from tasks.store.post_results import Order, TopPost


class NotWithinError(PermissionError):
    """The actor has no role for this label."""


@dataclass(frozen=True)
class Course:
    """A post, and its snapshots from the oldest on."""

    post_id: UUID
    bot: str
    text: str
    published_at: datetime
    x_post_id: str | None
    snapshots: Sequence[Mapping[str, Any]]


def labels(actor: Actor, label: str | None) -> frozenset[str] | None:
    """Labels of the bots that are asked about: one, or all that the actor may see (None: every bot). Raises
    NotWithinError."""
    within = actor.within("metrics.read")
    if label is None:
        return within
    if within is not None and label not in within:
        raise NotWithinError(f"{actor.name} has no role for the label {label}")
    return frozenset({label})


async def top(at: Connections, by: Order, days: int, label: str | None, limit: int, actor: Actor) -> Sequence[TopPost]:
    """The best posts of the last days. Raises NotWithinError."""
    within = labels(actor, label)
    async with at.transaction() as session:
        now = await base.now(session)
        wanted = None if within is None else sorted(within)
        return await post_results.top(session, by, now - timedelta(days=days), now, wanted, limit)


async def by_day(
    at: Connections, since: date | None, until: date | None, label: str | None, actor: Actor
) -> Sequence[Mapping[str, Any]]:
    """What each bot gained on each day (UTC) from one to another, both included; absent: of the last four weeks. Raises
    NotWithinError."""
    within = labels(actor, label)
    async with at.transaction() as session:
        last = until or (await base.now(session)).astimezone(UTC).date()
        first = since or last - timedelta(days=28)
        handles = {str(bot.id): bot.handle for bot in await bots.list_all(session, within=within)}
        rows = await rollups.of_fleet(session, first, last, None if within is None else sorted(within))
    told = [{**row, "bot": handles[row["bot"]]} for row in rows if row["bot"] in handles]
    return sorted(told, key=lambda row: (row["bot"].lower(), row["day"]))


async def course(at: Connections, post_id: UUID, actor: Actor) -> Course:
    """How a post went. Raises NoSuchPostError for one that did not go out, too."""
    async with at.transaction() as session:
        post = await posts.get(session, post_id, actor.within("metrics.read"))
        if post is None or post.published_at is None:
            raise NoSuchPostError(str(post_id))
        snapshots = await metrics.course(session, post_id, post.published_at)
    return Course(post.id, post.bot, post.text, post.published_at, post.x_post_id, snapshots)


async def of_bot(at: Connections, handle: str, actor: Actor) -> BotInsight | None:
    """How a bot does, as it was found last; None where nothing has been found yet. Raises NoSuchBotError."""
    within = actor.within("metrics.read")
    async with at.transaction() as session:
        await _bot(session, handle, actor)
        found = await bot_insights.of_bots(session, within, [handle])
    return found[0] if found else None


async def hours(at: Connections, handle: str, actor: Actor) -> Sequence[HourOfWeek]:
    """What each hour of the week is worth to a bot's persona, in the bot's zone: what planning weighs its slots by.

    Nothing where nothing has been learnt yet. Raises NoSuchBotError.
    """
    async with at.transaction() as session:
        return await best_times.of_bot(session, (await _bot(session, handle, actor)).id)


async def _bot(session: AsyncSession, handle: str, actor: Actor) -> BotRow:
    bot = (await bots.by_handles(session, [handle], actor.within("metrics.read"))).get(handle.lower())
    if bot is None:
        raise NoSuchBotError(handle)
    return bot
