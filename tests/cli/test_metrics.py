"""`vivesphere metrics`."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.store import best_times, bot_insights, reports
from tests.cli.conftest import Terminal
from tests.makers import stored_bots, stored_posts
from tests.results import a_season

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


async def test_what_was_learnt_is_told_in_words(stack: Terminal, sessions: Sessions, tmp_path: Path) -> None:
    unknown = await stack("metrics", "bot", "nobody_here")
    assert (unknown.code, "there is no bot @nobody_here" in unknown.err) == (1, True)
    async with sessions.begin() as session:
        [bot] = await stored_bots(session)
        until = await a_season(session, [bot])
        persona = (await session.execute(text("SELECT persona_id FROM bots"))).scalar_one()
    early = await stack("metrics", "bot", "@bot_0")
    assert "nothing is known of @bot_0 yet" in early.err
    found = {"rate": 0.031, "rate_low": 0.028, "rate_high": 0.034, "half_life_hours": 2.0, "weekly": 0.01}
    counts = {"bot_id": bot, "days": 28, "posts": 56, "impressions": 9000, "engaged": 279}
    hour = {"persona_id": persona, "weekday": 4, "hour": 20, "posts": 7, "lift": 1.4, "low": 1.1, "high": 1.8}
    async with sessions.begin() as session:
        await bot_insights.replace(session, [{**counts, **found, "verdict": "limited", "share": 0.2, "z": -8.0}])
        await best_times.replace(session, [hour])
        days = {"since": (until - timedelta(days=28)).date(), "until": until.date()}
        report = {"id": await reports.new_report_id(session), "figures": {}, "page": "<p>Wien</p>\n<p>Linz</p>", **days}
        await reports.add(session, report, {})
    told = await stack("metrics", "bot", "@bot_0")
    assert told.code == 0
    for words in (
        "3.10 % (95 %: 2.80 % to 3.40 %)",
        "2.0 hours",
        "limited, 20 % of its usual views",
        "stop and review",
        "Fri 20:00",
        "+40 %",
        "+10 to +80 %",
    ):
        assert words in told.out + told.err
    file = tmp_path / "report.html"
    saved = await stack("metrics", "report", "--latest", "--out", file)
    assert (saved.code, file.read_text(encoding="utf-8")) == (0, "<p>Wien</p>\n<p>Linz</p>\n")
    exported = await stack("metrics", "export", "--since", f"{until - timedelta(days=5):%Y-%m-%d}")
    head, first, *_ = exported.out.splitlines()
    assert head.startswith("bot,day,impressions,likes") and first.startswith("bot_0,")
    assert (await stack("metrics", "export", "--since", "tomorrow")).code == 2
    assert (await stack("metrics", "top", "--by", "luck")).code == 2
    assert "no post of that time was measured" in (await stack("metrics", "top")).err
