"""Claims, marks and outcomes on a real Postgres."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.domain.misfire import CaughtUp
from tasks.domain.posts import NextStep, Outcome
from tasks.store import attempts, base, claims, posts, senders, turns
from tasks.store.attempts import Settled
from tasks.store.claims import ClaimedPost
from tests.makers import marked, stored_bots, stored_posts

Sessions = async_sessionmaker[AsyncSession]


async def a_sender(session: AsyncSession) -> UUID:
    return await senders.add(session, host="here", boot_id="b", pid_namespace=1, pid=1, start_ticks=1, flow_run_id=None)


async def claim(session: AsyncSession, sender: UUID, lease_seconds: float = 8, limit: int = 100) -> list[ClaimedPost]:
    return list(
        await claims.take(
            session,
            sender,
            ahead=timedelta(seconds=3),
            lease=timedelta(seconds=lease_seconds),
            late=timedelta(seconds=30),
            grace=timedelta(minutes=15),
            limit=limit,
        )
    )


async def mark(
    session: AsyncSession, sender: UUID, claimed: list[ClaimedPost], give_up_seconds: float = 35
) -> dict[UUID, UUID]:
    return dict((await marked(session, sender, claimed, give_up_seconds=give_up_seconds)).attempts)


async def test_two_senders_never_hold_the_same_post(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_posts(session, (await stored_bots(session))[0], 10)
    async with sessions.begin() as one, sessions.begin() as other:
        mine = await claim(one, await a_sender(one), limit=6)
        theirs = await claim(other, await a_sender(other))
    assert len(mine) == 6
    assert len(theirs) == 4
    assert {post.id for post in mine}.isdisjoint(post.id for post in theirs)


async def test_a_claim_comes_back_when_its_lease_ends_or_its_sender_is_proven_dead(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_posts(session, (await stored_bots(session))[0], 2)
        first, dead, second = await a_sender(session), await a_sender(session), await a_sender(session)
        assert len(await claim(session, dead, limit=1)) == 1
        assert len(await claim(session, first, lease_seconds=0, limit=1)) == 1
    async with sessions.begin() as session:
        await senders.bury(session, [dead])
        again = await claim(session, second)
    assert [post.lease_epoch for post in again] == [2, 2]


async def test_a_mark_needs_the_lease_the_revision_and_a_verdict(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        bot = (await stored_bots(session))[0]
        sender, other = await a_sender(session), await a_sender(session)
        await stored_posts(session, bot, 3)
        await stored_posts(session, bot, 1, judged=False)
        claimed = await claim(session, sender)
        changed, stolen, *_ = claimed
        await session.execute(text("UPDATE posts SET revision = 2 WHERE id = :id"), {"id": changed.id})
        await session.execute(
            text("UPDATE posts SET lease_sender = :other WHERE id = :id"), {"id": stolen.id, "other": other}
        )
    async with sessions.begin() as session:
        marked = await mark(session, sender, claimed)
    assert set(marked) == {claimed[2].id}


async def test_a_paused_bot_is_neither_claimed_nor_marked(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        bot = (await stored_bots(session))[0]
        sender = await a_sender(session)
        await stored_posts(session, bot, 2)
        claimed = await claim(session, sender, limit=1)
        await session.execute(text("UPDATE bots SET state = 'paused'"))
    async with sessions.begin() as session:
        assert await mark(session, sender, claimed) == {}
        assert await claim(session, sender) == []


@pytest.mark.parametrize(
    "silence",
    [
        "INSERT INTO stops (scope, reason, created_by) VALUES ('fleet', 'fire', 'ops')",
        "INSERT INTO stops (scope, label, reason, created_by) VALUES ('label', 'wien', 'fire', 'ops')",
        "INSERT INTO stops (scope, bot_id, reason, created_by) SELECT 'bot', id, 'fire', 'ops' FROM bots",
        "INSERT INTO breakers (bot_id, cause, evidence) SELECT id, 'suspended', 'X says so' FROM bots",
    ],
)
async def test_a_silenced_bot_is_neither_claimed_nor_marked(sessions: Sessions, silence: str) -> None:
    async with sessions.begin() as session:
        sender = await a_sender(session)
        await stored_posts(session, (await stored_bots(session, labels=["wien"]))[0], 2)
        claimed = await claim(session, sender, limit=1)
        await session.execute(text(silence))
    async with sessions.begin() as session:
        assert await mark(session, sender, claimed) == {}
        assert await claim(session, sender) == []
    async with sessions.begin() as session:
        await session.execute(text("UPDATE stops SET ends_at = app_now()"))
        # One that has ended still silences, until X has answered.
        await session.execute(text("UPDATE breakers SET ends_at = app_now()"))
        assert "breakers" not in silence or await claim(session, sender) == []
        await session.execute(text("UPDATE breakers SET closed_at = app_now(), closed_by = 'governor'"))
        # What the mark gave back says why it waits, and comes again.
        row = await posts.get(session, claimed[0].id)
        assert row is not None
        assert row.reason is not None
        assert ("fire" if "stops" in silence else "X says so") in row.reason
        await session.execute(text("UPDATE posts SET next_at = app_now()"))
        again = await claim(session, sender)
        assert len(again) == 2
        assert len(await mark(session, sender, again)) == 2


async def test_a_part_of_a_thread_waits_for_the_part_before_and_replies_to_it(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        sender = await a_sender(session)
        first, second = await stored_posts(session, (await stored_bots(session))[0], 2)
        thread = "UPDATE posts SET thread_id = :thread, thread_place = :place WHERE id = :id"
        for place, post_id in enumerate((first, second), start=1):
            await session.execute(text(thread), {"thread": first, "place": place, "id": post_id})
        assert [post.id for post in await claim(session, sender)] == [first]
        await session.execute(
            text("UPDATE posts SET status = 'published', x_post_id = '7', lease_until = NULL WHERE id = :id"),
            {"id": first},
        )
        claimed = await claim(session, sender)
        assert [(post.id, post.reply_to_x_post_id) for post in claimed] == [(second, "7")]
        await session.execute(text("UPDATE posts SET status = 'deleted' WHERE id = :id"), {"id": first})
        assert await mark(session, sender, claimed) == {}
        await session.execute(text("UPDATE posts SET status = 'published' WHERE id = :id"), {"id": first})
        await session.execute(text("UPDATE posts SET next_at = app_now() WHERE id = :id"), {"id": second})
        assert list(await mark(session, sender, await claim(session, sender))) == [second]


@pytest.mark.promise("P3")
async def test_a_bot_with_much_to_say_waits_for_those_with_one_post(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        big, *small = await stored_bots(session, 100)
        await stored_posts(session, big, 300)
        for bot in small:
            await stored_posts(session, bot, 1)
        first = await claim(session, await a_sender(session))
    assert {post.bot_id for post in first} == {big, *small}


@pytest.mark.promise("P3")
async def test_what_is_late_waits_for_its_misfire_policy(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        bot = (await stored_bots(session))[0]
        sender = await a_sender(session)
        late = [(await stored_posts(session, bot, 1, -60, misfire=each))[0] for each in ("skip", "next_window")]
        [in_time] = await stored_posts(session, bot, 1, -5)
        assert [post.id for post in await claim(session, sender)] == [in_time]
        found = await turns.late_ones(session, late=timedelta(seconds=30), grace=timedelta(minutes=15), limit=10)
        assert [post.id for post in found] == late
        at = await base.now(session)
        await turns.give(session, [CaughtUp(late[0], None, "skipped"), CaughtUp(late[1], at, "moved")])
        assert [post.id for post in await claim(session, sender)] == [late[1]]
        assert await turns.taken(session, [bot]) == {bot: [at]}
        ended = await posts.get(session, late[0])
    assert ended is not None
    assert (ended.status, ended.reason) == ("expired", "skipped")


async def test_two_planners_do_not_give_the_same_turn_away(sessions: Sessions) -> None:
    wanted = {"late": timedelta(seconds=30), "grace": timedelta(minutes=15), "limit": 1}
    async with sessions.begin() as session:
        await stored_posts(session, (await stored_bots(session))[0], 2, -60)
    async with sessions.begin() as one, sessions.begin() as other:
        assert len(await turns.late_ones(one, **wanted)) == 1
        assert await turns.late_ones(other, **wanted) == []


@pytest.mark.promise("P1")
async def test_the_same_text_of_a_bot_is_under_way_once(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        sender = await a_sender(session)
        await stored_posts(session, (await stored_bots(session))[0], 2, text="The same words")
        claimed = await claim(session, sender)
    async with sessions.begin() as session:
        assert len(await mark(session, sender, claimed)) == 1
    async with sessions.begin() as session:
        assert await mark(session, sender, claimed) == {}


@pytest.mark.promise("P1")
async def test_two_marks_of_the_same_text_at_once_let_one_through(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        sender = await a_sender(session)
        await stored_posts(session, (await stored_bots(session))[0], 2, text="The same words")
        one, other = await claim(session, sender)
    first = sessions()
    assert len(await mark(first, sender, [one])) == 1
    with pytest.raises(Exception) as raised:  # noqa: B017, PT011  # the lock wait ends in a time-out
        async with sessions.begin() as session:
            await mark(session, sender, [other])
    assert not isinstance(raised.value, AssertionError)
    await first.commit()
    await first.close()
    async with sessions.begin() as session:
        assert await mark(session, sender, [other]) == {}


@pytest.mark.promise("P1")
async def test_the_database_itself_refuses_a_second_open_attempt(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        sender = await a_sender(session)
        await stored_posts(session, (await stored_bots(session))[0])
        claimed = await claim(session, sender)
        await mark(session, sender, claimed)
    with pytest.raises(IntegrityError):
        async with sessions.begin() as session:
            await session.execute(
                text(
                    "INSERT INTO publish_attempts (post_id, bot_id, revision, sender_id, lease_epoch, fingerprint,"
                    " start_by, give_up_at) SELECT post_id, bot_id, revision, sender_id, 9,"
                    " decode(repeat('00', 32), 'hex'), start_by, give_up_at FROM publish_attempts"
                )
            )


async def test_a_late_answer_wins_over_unknown(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        sender = await a_sender(session)
        [post_id] = await stored_posts(session, (await stored_bots(session))[0])
        attempt = (await mark(session, sender, await claim(session, sender), give_up_seconds=0))[post_id]
    async with sessions.begin() as session:
        assert await attempts.sweep(session) == [post_id]
        row = await posts.get(session, post_id)
        assert row is not None
        assert (row.status, row.reason) == ("unknown", "the sender ended before it wrote down an answer")
    answer = Settled(attempt, post_id, Outcome("accepted", x_post_id="42"), NextStep("published"))
    async with sessions.begin() as session:
        assert await attempts.settle(session, [answer]) == {post_id}
        assert await attempts.settle(session, [answer]) == set()
        row = await posts.get(session, post_id)
        assert row is not None
        assert (row.status, row.x_post_id) == ("published", "42")


async def test_a_post_too_late_expires_with_its_reason(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        bot = (await stored_bots(session))[0]
        [late] = await stored_posts(session, bot, due_in_seconds=-1000)
        [fresh] = await stored_posts(session, bot)
        assert [post.id for post in await claim(session, await a_sender(session))] == [fresh]
        assert await turns.expire(session, timedelta(seconds=30), timedelta(minutes=15)) == [late]
        row = await posts.get(session, late)
        assert row is not None
        assert (row.status, row.reason) == ("expired", "too late to be sent")


async def test_a_claim_uses_its_index(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_posts(session, (await stored_bots(session))[0], 500, due_in_seconds=86_400)
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await session.execute(
            text(
                "EXPLAIN SELECT 1 FROM posts WHERE status IN ('scheduled', 'claimed') AND next_at <= (SELECT app_now())"
            )
        )
        assert "posts_due" in "\n".join(row[0] for row in plan)


async def test_whether_a_post_is_past_its_time_is_judged_within_the_query_and_not_by_a_call_for_each(
    sessions: Sessions,
) -> None:
    judged = "SELECT 1 FROM posts AS post WHERE misfires_at(post, interval '30 s', interval '15 min') > now()"
    async with sessions.begin() as session:
        plan = "\n".join(row[0] for row in await session.execute(text("EXPLAIN (VERBOSE) " + judged)))
    assert "planned_at" in plan and "misfires_at" not in plan, plan
