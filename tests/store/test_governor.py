"""Windows, days and money on a real Postgres: what the mark gives out, what waits, and until when."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.domain.posts import NextStep, Outcome
from tasks.store import attempts, base, claims, posts, rate_windows, senders
from tasks.store.attempts import Marked, Settled
from tasks.store.claims import ClaimedPost
from tasks.store.posts import PostRow
from tasks.store.rate_windows import Reserved
from tests.makers import A_ROOM, POLICY_VERSION, marked, stored_app, stored_bots, stored_posts
from tests.waiting import until

Sessions = async_sessionmaker[AsyncSession]
QUARTER = timedelta(minutes=15, seconds=35)


async def claimed(session: AsyncSession, limit: int = 100) -> tuple[UUID, list[ClaimedPost]]:
    sender = await senders.add(
        session, host="here", boot_id="b", pid_namespace=1, pid=1, start_ticks=1, flow_run_id=None
    )
    times = {name: timedelta(minutes=15) for name in ("late", "grace")}
    found = await claims.take(
        session, sender, ahead=timedelta(seconds=3), lease=timedelta(seconds=60), limit=limit, **times
    )
    return sender, list(found)


async def send(session: AsyncSession, limit: int = 100, **how: Any) -> Marked:
    """Claim and mark what is due."""
    sender, found = await claimed(session, limit)
    return await marked(session, sender, found, **how)


async def end(session: AsyncSession, found: Marked, ended: str, **facts: Any) -> None:
    step = NextStep("published" if ended == "accepted" else "unknown" if ended == "unknown" else "scheduled")
    for number, (post_id, attempt_id) in enumerate(found.attempts.items()):
        facts = {"x_post_id": str(number)} if ended == "accepted" else facts
        await attempts.settle(
            session,
            [Settled(attempt_id, post_id, Outcome(ended, **facts), step)],  # type: ignore[arg-type]
        )


async def waiting(session: AsyncSession) -> list[tuple[PostRow, datetime]]:
    rows = await session.execute(text("SELECT id, next_at FROM posts WHERE status = 'scheduled' ORDER BY next_at, id"))
    found = [(await posts.get(session, row.id), row.next_at) for row in rows]
    return [(post, next_at) for post, next_at in found if post is not None]


async def number(session: AsyncSession, statement: str) -> Decimal:
    found: Decimal = (await session.execute(text(statement))).scalar_one()
    return found


async def books_are_right(session: AsyncSession) -> None:
    """The counts say what the attempts say."""
    taken = "FROM publish_attempts WHERE x_app_id IS NOT NULL AND takes_a_place(ended)"
    paid = "FROM publish_attempts WHERE costs_money(ended)"
    assert await number(session, "SELECT coalesce(sum(used), 0) FROM rate_windows") == await number(
        session, f"SELECT count(*) {taken}"
    )
    spent = await number(session, f"SELECT coalesce(sum(price_usd), 0) {paid}")
    assert await number(session, "SELECT coalesce(sum(usd), 0) FROM spend_ledger") == spent
    assert await number(session, "SELECT coalesce(sum(usd), 0) FROM spend_months") == await number(
        session, f"SELECT coalesce(sum(price_usd), 0) {paid} AND x_app_id IS NOT NULL"
    )


@pytest.mark.promise("P5")
async def test_a_bot_gets_what_x_takes_of_it_and_the_rest_waits_until_a_place_is_free(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        bot = (await stored_bots(session, x_app_id=await stored_app(session)))[0]
        await stored_posts(session, bot, 8)
        first = await send(session, limit=2, bot_most=3)
        second = await send(session, bot_most=3)
        assert (len(first.attempts), len(second.attempts)) == (2, 1)
        assert set(second.waiting.values()) == {"X takes 100 of a bot in 15 minutes"}
        marked_at = [row[0] for row in await session.execute(text("SELECT marked_at FROM publish_attempts ORDER BY 1"))]
        rows = await waiting(session)
        # The nth that waits is promised the nth place that comes free.
        assert [next_at for _, next_at in rows][:2] == [instant + QUARTER for instant in marked_at[:2]]
        assert {row.reason for row, _ in rows} == {"waits: X takes 100 of a bot in 15 minutes"}
        await books_are_right(session)


@pytest.mark.promise("P5")
async def test_an_app_gets_what_x_takes_of_it_over_all_its_bots(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        app, other = await stored_app(session), await stored_app(session)
        bots = await stored_bots(session, 4, x_app_id=app)
        await session.execute(text("UPDATE bots SET x_app_id = :other WHERE handle = 'bot_3'"), {"other": other})
        for bot in bots:
            await stored_posts(session, bot, 2)
        found = await send(session, app_most=3)
        rows = await waiting(session)
        assert len(found.attempts) == 3 + 2
        assert [row.bot != "bot_3" for row, _ in rows] == [True] * 3
        free_at = await number(session, "SELECT min(bucket_at) + interval '1 day 95 s' FROM rate_windows")
        # The places of this very mark stand in no bucket yet: they are taken for as young as the mark.
        assert all(timedelta() <= next_at - free_at <= timedelta(minutes=1) for _, next_at in rows)  # type: ignore[operator]
        await books_are_right(session)


@pytest.mark.promise("P5")
async def test_what_never_left_gives_its_place_and_its_money_back_and_what_may_have_left_keeps_them(
    sessions: Sessions,
) -> None:
    async with sessions.begin() as session:
        app = await stored_app(session, monthly_budget_usd=Decimal("0.016"))
        await stored_posts(session, (await stored_bots(session, x_app_id=app))[0], 1)
        for ended, again in (("not_sent", 1), ("throttled", 1), ("unknown", 0)):
            found = await send(session)
            assert len(found.attempts) == 1
            await end(session, found, ended)
            await books_are_right(session)
            await session.execute(text("UPDATE posts SET status = 'scheduled', next_at = app_now()"))
            spent = await number(session, "SELECT coalesce(sum(usd), 0) FROM spend_months")
            assert spent == (0 if again else Decimal("0.015"))
        assert await number(session, "SELECT sum(used) FROM rate_windows") == 2


@pytest.mark.promise("P5")
async def test_a_budget_lets_through_what_it_covers_and_keeps_a_share_for_looking(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        # 95 % of 0.10 are six posts at 0.015, not seven.
        app = await stored_app(session, monthly_budget_usd=Decimal("0.10"))
        await stored_posts(session, (await stored_bots(session, x_app_id=app))[0], 8)
        found = await send(session)
        assert len(found.attempts) == 6
        assert set(found.waiting.values()) == {"the month's budget of its app is spent"}
        month_end = await number(session, "SELECT next_month(app_now())")
        assert {next_at for _, next_at in await waiting(session)} == {month_end}
        assert await reserve(session, app, resources=2, share="0.95") == Reserved(
            None, month_end, "the month's budget of its app is spent"
        )
        assert (await reserve(session, app, resources=2, share="1")).granted_at is not None
        assert await number(session, "SELECT usd FROM spend_months") == Decimal("0.10")


async def test_a_bot_says_no_more_a_day_than_its_file_allows(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        bot = (await stored_bots(session, posts_per_day_max=2))[0]
        await stored_posts(session, bot, 4)
        now = await base.now(session)
        day = (now - timedelta(hours=1), now + timedelta(hours=5))
        found = await send(session, day=day)
        assert len(found.attempts) == 2
        assert set(found.waiting.values()) == {"2 posts a day are the most for this bot"}
        assert {next_at for _, next_at in await waiting(session)} == {day[1]}
        await end(session, found, "accepted")
        await session.execute(text("UPDATE posts SET next_at = app_now() WHERE status = 'scheduled'"))
        tomorrow = (await base.now(session), now + timedelta(days=1))
        assert len((await send(session, day=tomorrow)).attempts) == 2


async def test_when_money_is_short_no_post_waits_for_a_dearer_one(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        app = await stored_app(session, monthly_budget_usd=Decimal("0.02"))
        dear, cheap = await stored_posts(session, (await stored_bots(session, x_app_id=app))[0], 2)
        sender, found = await claimed(session)
        prices = {dear: Decimal("0.20"), cheap: Decimal("0.015")}
        sending = [
            attempts.Sending(post, post.id.bytes * 2, post.due_at, "post", prices[post.id], (post.due_at, post.due_at))
            for post in found
        ]
        answer = await attempts.mark(
            session,
            sender,
            sending,
            A_ROOM,
            policy_version=POLICY_VERSION,
            start_within=timedelta(seconds=2),
            give_up_within=timedelta(seconds=35),
            waits=timedelta(seconds=5),
            lock_timeout_ms=500,
        )
        assert list(answer.attempts) == [cheap]
        assert list(answer.waiting) == [dear]


async def tell(session: AsyncSession, subject: UUID, remaining: int, seconds: float) -> None:
    await session.execute(
        text(
            "INSERT INTO rate_limits_told (subject_id, endpoint, remaining, resets_at)"
            " VALUES (:subject, 'POST /2/tweets', :remaining, app_now() + make_interval(secs => :seconds))"
        ),
        {"subject": subject, "remaining": remaining, "seconds": seconds},
    )


@pytest.mark.parametrize("whose", ["bot", "app"])
async def test_what_x_says_lowers_what_is_given_out_until_its_window_ends(sessions: Sessions, whose: str) -> None:
    async with sessions.begin() as session:
        app = await stored_app(session)
        bot = (await stored_bots(session, x_app_id=app))[0]
        await stored_posts(session, bot, 5)
        before = await send(session, limit=1)
        await tell(session, bot if whose == "bot" else app, remaining=3, seconds=60)
        # One is under way and may be counted by X already or not: two more are certain to be taken.
        found = await send(session)
        assert len(before.attempts) == 1
        assert len(found.attempts) == 2
        resets_at = await number(session, "SELECT resets_at FROM rate_limits_told")
        assert {next_at for _, next_at in await waiting(session)} == {resets_at}
        await session.execute(text("UPDATE rate_limits_told SET resets_at = app_now()"))
        await session.execute(text("UPDATE posts SET next_at = app_now() WHERE status = 'scheduled'"))
        assert len((await send(session)).attempts) == 2


async def reserve(
    session: AsyncSession, app: UUID | None, most: int | None = 3, resources: int = 1, share: str = "1"
) -> Reserved:
    return await rate_windows.reserve(
        session,
        app_id=app,
        bot_id=None,
        endpoint="GET /2/tweets",
        most=most,
        span=QUARTER,
        words="X takes 3",
        kind="post_read",
        resources=resources,
        price=Decimal("0.005"),
        money_share=Decimal(share),
        lock_timeout_ms=500,
    )


@pytest.mark.promise("P5")
async def test_reads_are_given_out_up_to_the_limit_and_then_told_when_to_come_again(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        app = await stored_app(session)
        granted = [await reserve(session, app) for _ in range(3)]
        assert all(one.granted_at is not None for one in granted)
        refused = await reserve(session, app)
        assert refused.granted_at is None
        first = await number(session, "SELECT min(bucket_at) FROM rate_windows")
        assert refused.waits_until == first + QUARTER  # type: ignore[operator]
        assert refused.waits_because == "X takes 3"
        assert (await reserve(session, app, most=None)).granted_at is not None


@pytest.mark.promise("P5")
async def test_two_marks_at_once_share_one_window(sessions: Sessions) -> None:
    """The second waits for the app's row, and then judges by what the first has committed."""
    async with sessions.begin() as session:
        bots = await stored_bots(session, 2, x_app_id=await stored_app(session))
        for bot in bots:
            await stored_posts(session, bot, 3)
        one, mine = await claimed(session, limit=3)
        other, theirs = await claimed(session, limit=3)
    first, second = sessions(), sessions()
    assert len((await marked(first, one, mine, app_most=4)).attempts) == 3
    waits = asyncio.create_task(marked(second, other, theirs, app_most=4))
    await until(lambda: blocked(sessions))
    await first.commit()
    assert len((await waits).attempts) == 1
    await second.commit()
    await first.close()
    await second.close()


async def blocked(sessions: Sessions) -> bool:
    async with sessions() as session:
        found = await session.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )
        return bool(found.scalar_one())
