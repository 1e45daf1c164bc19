"""Marks: what is written down before a post may leave, so that nothing leaves unwritten and nothing beyond a limit."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.exc import IntegrityError

from tasks.connections import Connections
from tasks.domain.budget import kind_of_post
from tasks.domain.limits import day_of
from tasks.domain.posts import NextStep, Outcome, fingerprint
from tasks.operations import gate, governor
from tasks.operations.patience import PASSING, pauses
from tasks.store import attempts, claims, looks, media
from tasks.store.attempts import Marked, Sending, Settled
from tasks.store.claims import ClaimedPost

log = logging.getLogger("vivesphere.debug")

LEFT_OUT = "not marked: it was changed or taken over meanwhile, or the database did not answer"


async def mark(at: Connections, sender: UUID, claimed: Sequence[tuple[ClaimedPost, datetime]], now: datetime) -> Marked:
    """Mark posts, each given with the end of the token it is sent by; `now` tells which day it is for each bot.

    Without an acknowledged commit nothing is marked, and so nothing is sent.
    """
    sending = [_sending(at, post, token_end, now) for post, token_end in claimed]
    marked = Marked({}, {})
    doubted = False
    for pause in pauses():
        try:
            marked = await _mark_once(at, sender, sending)
            break
        except IntegrityError:
            # The same text of a bot was marked elsewhere at this very moment: the next look sees it.
            continue
        except PASSING as error:
            log.warning("posts were not marked, and so not sent: %s", error)
            doubted = True
            await asyncio.sleep(pause)
    left = [post.id for post, _ in claimed if post.id not in marked.attempts and post.id not in marked.waiting]
    if doubted and left:
        await _forget_lost(at, sender, left)
    return marked


def _sending(at: Connections, post: ClaimedPost, token_end: datetime, now: datetime) -> Sending:
    kind = kind_of_post(post.text)
    return Sending(
        post,
        fingerprint(post.text),
        token_end,
        kind,
        governor.tables(at).prices.usd[kind],
        day_of(now, ZoneInfo(post.time_zone)),
    )


async def _mark_once(at: Connections, sender: UUID, sending: Sequence[Sending]) -> Marked:
    posting, database = at.places.settings.posting, at.places.settings.postgres
    with_media = {one.post.id for one in sending if one.post.x_media_ids}
    # A mark that is a statement of its own holds no lock for a sender that freezes; uploads are used up with it.
    opened = at.transaction() if with_media else at.statement()
    # The server's own limit cannot be set by a statement for itself.
    async with asyncio.timeout(database.statement_timeout_ms / 1000), opened as session:
        marked = await attempts.mark(
            session,
            sender,
            sending,
            governor.room_for_posts(at),
            policy_version=gate.in_force(at).version,
            start_within=timedelta(seconds=posting.start_within_seconds),
            give_up_within=timedelta(seconds=posting.give_up_seconds),
            waits=timedelta(seconds=posting.retry_seconds),
            lock_timeout_ms=database.lock_timeout_ms,
        )
        if shown := {post_id: attempt for post_id, attempt in marked.attempts.items() if post_id in with_media}:
            await media.use(session, shown)
        return marked


async def _forget_lost(at: Connections, sender: UUID, post_ids: Sequence[UUID]) -> None:
    """A commit whose acknowledgement was lost may stand: its attempts were never sent, and are said so."""
    outcome = Outcome("not_sent", problem="mark-not-acknowledged")
    step = NextStep("scheduled", outcome.said)
    for pause in pauses():
        try:
            async with at.transaction() as session:
                # The sweeper or a look may be at them: what it wrote meanwhile stands.
                await looks.lock(session, list((await attempts.open_of(session, sender, post_ids)).values()))
                found = await attempts.open_of(session, sender, post_ids)
                lost = [Settled(attempt, post, outcome, step) for post, attempt in found.items()]
                await attempts.settle(session, lost)
            return
        except PASSING as error:
            log.warning("lost marks are not looked up yet: %s", error)
            await asyncio.sleep(pause)


async def give_back(at: Connections, sender: UUID, post_ids: Sequence[UUID]) -> None:
    """Return claims that were not marked: what is still the sender's waits a little, what was cancelled, edited or
    taken over meanwhile is not touched.
    """
    wait = timedelta(seconds=at.places.settings.posting.retry_seconds)
    async with at.transaction() as session:
        await claims.give_back(session, sender, post_ids, LEFT_OUT, wait)
