"""`vivesphere metrics`."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.cli.conftest import Terminal
from tests.makers import stored_bots, stored_posts

Sessions = async_sessionmaker[AsyncSession]


async def test_a_dry_run_says_how_many_requests_and_how_much(stack: Terminal, sessions: Sessions) -> None:
    nothing = await stack("metrics", "collect", "--dry-run")
    assert (nothing.code, "0 requests" in nothing.out + nothing.err) == (0, True)
    async with sessions.begin() as session:
        [bot] = await stored_bots(session)
        [post] = await stored_posts(session, bot)
        await session.execute(
            text(
                "UPDATE posts SET status = 'published', x_post_id = '7', published_at = app_now() - interval '1 hour'"
                " WHERE id = :id"
            ),
            {"id": post},
        )
    told = await stack("metrics", "collect", "--dry-run")
    assert told.code == 0
    assert "at most 2 requests, 0.015 USD; nothing was read" in told.out + told.err
