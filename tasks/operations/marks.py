"""Marks: what is written down before a post may leave, so that nothing leaves unwritten."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from tasks.connections import Connections
from tasks.domain.policy.gate import POLICY_VERSION
from tasks.domain.posts import NextStep, Outcome, fingerprint
from tasks.operations.patience import PASSING, pauses
from tasks.store import attempts, media, posts
from tasks.store.attempts import Settled
from tasks.store.posts import ClaimedPost

log = logging.getLogger("vivesphere.debug")

LEFT_OUT = "not marked: its bot is not active, or the same text has no known outcome yet"


async def mark(at: Connections, sender: UUID, claimed: Sequence[tuple[ClaimedPost, datetime]]) -> dict[UUID, UUID]:
    """Attempt ids by post id, of posts and the end of the token each is sent by.

    Without an acknowledged commit nothing is marked, and so nothing is sent.
    """
    marked: dict[UUID, UUID] = {}
    doubted = False
    for pause in pauses():
        try:
            marked = await _mark_once(at, sender, claimed)
            break
        except IntegrityError:
            # The same text of a bot was marked elsewhere at this very moment: the next look sees it.
            continue
        except PASSING as error:
            log.warning("posts were not marked, and so not sent: %s", error)
            doubted = True
            await asyncio.sleep(pause)
    left = [post.id for post, _ in claimed if post.id not in marked]
    if doubted and left:
        await _forget_lost(at, sender, left)
    if left:
        await _give_back(at, sender, left)
    return marked


async def _mark_once(
    at: Connections, sender: UUID, claimed: Sequence[tuple[ClaimedPost, datetime]]
) -> dict[UUID, UUID]:
    database, posting = at.places.settings.postgres, at.places.settings.posting
    async with at.transaction() as session:
        marked = dict(
            await attempts.mark(
                session,
                sender,
                [(post, fingerprint(post.text), token_end) for post, token_end in claimed],
                policy_version=POLICY_VERSION,
                start_within=timedelta(seconds=posting.start_within_seconds),
                give_up_within=timedelta(seconds=posting.give_up_seconds),
                lock_timeout_ms=database.lock_timeout_ms,
                statement_timeout_ms=database.statement_timeout_ms,
            )
        )
        if shown := {post.id: marked[post.id] for post, _ in claimed if post.x_media_ids and post.id in marked}:
            await media.use(session, shown)
        return marked


async def _forget_lost(at: Connections, sender: UUID, post_ids: Sequence[UUID]) -> None:
    """A commit whose acknowledgement was lost may stand: its attempts were never sent, and are said so."""
    outcome = Outcome("not_sent", problem="mark-not-acknowledged")
    step = NextStep("scheduled", outcome.said)
    for pause in pauses():
        try:
            async with at.transaction() as session:
                found = await attempts.open_of(session, sender, post_ids)
                lost = [Settled(attempt, post, outcome, step) for post, attempt in found.items()]
                await attempts.settle(session, lost)
            return
        except PASSING as error:
            log.warning("lost marks are not looked up yet: %s", error)
            await asyncio.sleep(pause)


async def _give_back(at: Connections, sender: UUID, post_ids: Sequence[UUID]) -> None:
    """Cancelled, edited or taken over meanwhile: those are not touched. What is still ours waits a little."""
    wait = timedelta(seconds=at.places.settings.posting.retry_seconds)
    with suppress(*PASSING):  # the lease ends by itself
        async with at.transaction() as session:
            await posts.give_back(session, sender, post_ids, LEFT_OUT, wait)
