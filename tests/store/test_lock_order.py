"""Whoever holds several posts takes them in the order of their ids: none waits in a circle."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.store import attempts, claims, senders, turns
from tests.makers import stored_bots, stored_posts
from tests.store.test_posts import a_sender, claim

Sessions = async_sessionmaker[AsyncSession]
POSTS, ROUNDS, AT_ONCE = 400, 12, 3
LEASE = timedelta(seconds=60)


async def test_heartbeats_marks_sweeps_and_returned_claims_never_wait_for_each_other_in_a_circle(
    sessions: Sessions,
) -> None:
    async with sessions.begin() as session:
        bots = await stored_bots(session, 1)
        post_ids = sorted(await stored_posts(session, bots[0], POSTS))
        sender = await a_sender(session)
        others = [await a_sender(session) for _ in range(20)]
        await claim(session, sender, limit=POSTS, lease_seconds=60)
    # A table is read in the order in which its rows were written last: here against that of the ids.
    for post_id in reversed(post_ids):
        async with sessions.begin() as session:
            await session.execute(text("UPDATE posts SET updated_at = app_now() WHERE id = :id"), {"id": post_id})

    async def marks(session: AsyncSession) -> None:
        # As mark_posts does; what follows takes its time.
        await session.execute(
            text("SELECT 1 FROM posts WHERE id = ANY(:ids) ORDER BY id FOR UPDATE"), {"ids": post_ids}
        )

    async def beats(session: AsyncSession) -> None:
        await senders.beat(session, sender)
        await claims.renew(session, sender, LEASE)

    async def buries(session: AsyncSession) -> None:
        await senders.bury(session, others)
        await attempts.look_sooner(session, others)

    async def gives_back(session: AsyncSession) -> None:
        await claims.give_back(session, sender, post_ids[::-1], None, timedelta())
        await session.execute(
            text("UPDATE posts SET status = 'claimed', lease_until = app_now() + :lease WHERE id = ANY(:ids)"),
            {"ids": post_ids, "lease": LEASE},
        )

    async def sweeps(session: AsyncSession) -> None:
        await turns.expire(session, timedelta(seconds=30), timedelta(minutes=15))
        await attempts.sweep(session)

    async def again(work: Callable[[AsyncSession], Awaitable[None]]) -> None:
        for _ in range(ROUNDS):
            async with sessions.begin() as session:
                await work(session)

    works = (marks, beats, buries, gives_back, sweeps)
    # A circle is an error of whoever the server ends for it.
    await asyncio.gather(*(again(work) for work in works for _ in range(AT_ONCE)))
