"""Metrics: the whole way of a hundred thousand snapshots against a script that only fetches and copies; memory over
the size of the fleet; a year of rollups."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from uuid import UUID

import aiohttp
import psycopg
from sqlalchemy import text

from blocks.postgres.engine import Server
from config import loading
from tasks.connections import Connections
from tasks.operations import metric_plan, post_metrics, rollups
from tasks.store import rollups as rollup_rows
from tests.bench import metrics_process
from tests.bench.figure import Figure
from tests.bench.fleet import UNLIMITED
from tests.bench.metrics_process import Given, connections
from tests.makers import stored_app, stored_bots
from tests.migrated_postgres import fresh_database, migrated_postgres
from tests.postgres_process import PostgresProcess
from tests.x_sandbox_process import XSandboxProcess

BOTS, POSTS_EACH = 1000, 100
PAIRS = 3
FEW, MANY, POSTS_OF_FLEET = 10, 10_000, 10
IN_FLIGHT = 8
QUARTER = timedelta(minutes=15)
# Tokens of the sandbox serve for the whole run, whatever its clock is set to.
TOKEN_SECONDS = 30 * 86_400
SENDERS = 32
FIELDS = "public_metrics,non_public_metrics,organic_metrics"


@dataclass(frozen=True)
class Stage:
    """A database with bots whose posts are out on the sandbox, and an hour old."""

    given: Given
    owner: str
    app: str
    tokens: Sequence[str]
    x_post_ids: Sequence[Sequence[str]]


def metrics_100k_posts() -> list[Figure]:
    """100,000 snapshots; and what the fleet's size does to memory."""
    with tempfile.TemporaryDirectory(prefix="vivesphere-bench-") as folder, migrated_postgres() as postgres:
        with XSandboxProcess(Path(folder)) as x:
            x.settings(
                access_token_seconds=TOKEN_SECONDS,
                duplicate_refusal=False,
                limits={"POST /2/tweets": UNLIMITED, "GET /2/tweets": UNLIMITED},
            )
            with _stage(postgres, x, "hundred_thousand", BOTS, POSTS_EACH) as stage:
                figure = asyncio.run(_measure(stage, x))
            memory = {}
            for count in (FEW, MANY):
                with _stage(postgres, x, f"of_{count}", count, POSTS_OF_FLEET) as stage:
                    memory[count] = _memory(stage)
    return [figure, _memory_figure(memory)]


def _memory_figure(memory: dict[int, float]) -> Figure:
    return Figure(
        "metrics_memory_10_to_10000_bots",
        memory[MANY],
        memory[FEW],
        "MB",
        "ratio <= 1.2",
        note=f"Most memory of a process that collects {POSTS_OF_FLEET} posts of each of {MANY:,} bots, beside the same"
        f" for {FEW}: plan, accounts, posts, rollups.",
    )


async def _measure(stage: Stage, x: XSandboxProcess) -> Figure:
    ours, bare, rolled = [], [], []
    async with connections(stage.given) as at:
        for _ in range(PAIRS):
            bare.append(await _bare(stage, x.url))
            began = time.perf_counter()
            await metric_plan.prepare(at)
            done = await post_metrics.collect(at)
            ours.append(time.perf_counter() - began)
            assert done.snapshots == BOTS * POSTS_EACH, done
            began = time.perf_counter()
            await rollups.roll_up(at)
            rolled.append(time.perf_counter() - began)
            _pass(stage.owner, x, QUARTER)
    ratios = ", ".join(f"{mine / theirs:.2f}" for mine, theirs in zip(ours, bare, strict=True))
    return Figure(
        "metrics_100k_posts",
        median(ours),
        median(bare),
        "s",
        "ratio <= 1.3",
        {"rollups of these snapshots, not in ours": median(rolled)},
        f"{BOTS:,} bots with {POSTS_EACH} posts each, all due at one instant, {IN_FLIGHT} requests in flight;"
        f" {PAIRS} pairs, ratios {ratios}. Ours plans, reserves windows and money for each request, writes each"
        " snapshot once by its scheduled instant, notes its hour and the next reading; the limit fetches the same and"
        " copies it in binary into a table without an index. fsync is off for both.",
    )


async def _bare(stage: Stage, url: str) -> float:
    """The limit: asyncio, aiohttp and one COPY."""
    async with await psycopg.AsyncConnection.connect(stage.owner, autocommit=True) as connection:
        await connection.execute("DROP TABLE IF EXISTS bare")
        await connection.execute("CREATE TABLE bare (id bigint, at timestamptz, " + _columns("int8") + ")")
        began = time.perf_counter()
        slots = asyncio.Semaphore(IN_FLIGHT)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session,
            connection.cursor() as cursor,
            cursor.copy("COPY bare FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(["int8", "timestamptz", *["int8"] * 15])

            async def one(token: str, ids: Sequence[str]) -> None:
                async with slots:
                    query = {"ids": ",".join(ids), "post.fields": FIELDS}
                    headers = {"Authorization": f"Bearer {token}"}
                    async with session.get(f"{url}/2/tweets", params=query, headers=headers) as answer:
                        told = json.loads(await answer.read())
                    now = datetime.now(UTC)
                    for post in told["data"]:
                        await copy.write_row((int(post["id"]), now, *_counts(post)))

            await asyncio.gather(*map(one, stage.tokens, stage.x_post_ids))
        seconds = time.perf_counter() - began
        [(count,)] = await (await connection.execute("SELECT count(*) FROM bare")).fetchall()
        assert count == BOTS * POSTS_EACH
        return seconds


def _columns(kind: str) -> str:
    return ", ".join(f"count_{number} {kind}" for number in range(15))


def _counts(post: dict[str, dict[str, int]]) -> tuple[int | None, ...]:
    public, private, organic = post["public_metrics"], post["non_public_metrics"], post["organic_metrics"]
    return (
        *(public.get(name) for name in ("impression_count", "like_count", "repost_count", "reply_count")),
        *(public.get(name) for name in ("quote_count", "bookmark_count")),
        *(private.get(name) for name in ("engagements", "url_link_clicks", "user_profile_clicks")),
        *(organic.get(name) for name in ("impression_count", "like_count", "repost_count", "reply_count")),
        *(organic.get(name) for name in ("url_link_clicks", "user_profile_clicks")),
    )


def _memory(stage: Stage) -> float:
    """Most megabytes of a process that collects everything."""
    done = subprocess.run(
        [sys.executable, "-m", metrics_process.__name__],
        cwd=loading.APP_ROOT,
        input=stage.given.as_json(),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.strip().splitlines()[-1])


@contextmanager
def _stage(postgres: PostgresProcess, x: XSandboxProcess, name: str, bots: int, posts_each: int) -> Iterator[Stage]:
    handles = [f"{name[:3]}_{number}" for number in range(bots)]
    app, minted = x.app(name), []
    for first in range(0, bots, 1000):
        minted += x.tokens(*handles[first : first + 1000], app=name)
    tokens = [str(one["access_token"]) for one in minted]
    x_post_ids = asyncio.run(_publish(x.url, tokens, posts_each))
    with fresh_database(postgres, name) as server:
        owner = postgres.conninfo(name, "vivesphere_owner")
        given = asyncio.run(_store(server, postgres.password, x.url, [one["account_id"] for one in minted], x_post_ids))
        for bot_id, token in zip(given.bots, tokens, strict=True):
            given.tokens[bot_id] = token
        _pass(owner, x, timedelta(hours=1))
        yield Stage(given, owner, app["client_id"], tokens, x_post_ids)


async def _publish(url: str, tokens: Sequence[str], posts_each: int) -> list[list[str]]:
    """Ids of fresh posts on X, by account."""
    slots = asyncio.Semaphore(SENDERS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=SENDERS)) as session:

        async def one(token: str) -> list[str]:
            ids = []
            async with slots:
                for number in range(posts_each):
                    headers = {"Authorization": f"Bearer {token}"}
                    async with session.post(
                        f"{url}/2/tweets", json={"text": f"Reading {number}"}, headers=headers
                    ) as made:
                        ids.append(str((await made.json())["data"]["id"]))
            return ids

        return await asyncio.gather(*map(one, tokens))


async def _store(
    server: Server, password: str, x_url: str, account_ids: Sequence[str], x_post_ids: Sequence[Sequence[str]]
) -> Given:
    given = Given(server.host, server.port, server.database, password, x_url, [], {})
    async with connections(given) as at, at.transaction() as session:
        app_id = await stored_app(session, monthly_budget_usd=Decimal(1_000_000))
        bots = await stored_bots(session, len(account_ids), x_app_id=app_id, x_user_id=None)
        await session.execute(
            text(
                "UPDATE bots SET x_user_id = item.account FROM unnest(CAST(:bots AS uuid[]), CAST(:accounts AS text[]))"
                " AS item (bot, account) WHERE bots.id = item.bot"
            ),
            {"bots": bots, "accounts": list(account_ids)},
        )
        await session.execute(
            text(
                "INSERT INTO posts (bot_id, text, due_at, planned_at, next_at, source, status, created_by, x_post_id,"
                " published_at) SELECT bot, 'x', app_now(), app_now(), app_now(), 'api', 'published', 'bench', x_post,"
                " app_now() FROM unnest(CAST(:bots AS uuid[]), CAST(:x_posts AS text[])) AS item (bot, x_post)"
            ),
            {
                "bots": [bot for bot, ids in zip(bots, x_post_ids, strict=True) for _ in ids],
                "x_posts": [one for ids in x_post_ids for one in ids],
            },
        )
    given.bots.extend(map(str, bots))
    return given


def _pass(owner: str, x: XSandboxProcess, time_on: timedelta) -> None:
    x.clock(forward_seconds=time_on.total_seconds())
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("UPDATE app_clock SET app_anchor = app_anchor + %s", [time_on])


YEAR_BOTS, PAGE_QUERIES = 1000, 300
YEAR = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


def metrics_year_of_rollups() -> list[Figure]:
    """A year of snapshots each hour of 1,000 bots rolled up from nothing; a bot's page; the end of a month."""
    with migrated_postgres() as postgres, fresh_database(postgres, "year") as server:
        return asyncio.run(_year(server, postgres.password))


# Each bot has a post a day, which is read once an hour: 24 snapshots of a post, 8,760 of a bot.
_FILL = text(
    """
    INSERT INTO post_metrics (post_id, bot_id, bucket_at, observed_at, impressions, likes, reposts, replies, quotes,
        bookmarks, engagements, url_clicks, profile_clicks)
    SELECT md5(bot::text || hour_at::date::text)::uuid, md5(bot::text)::uuid, hour_at, hour_at, seen, seen / 20,
        seen / 90, seen / 200, seen / 400, seen / 150, seen / 15, seen / 60, seen / 80
    FROM generate_series(1, :bots) AS bot, generate_series(
            CAST(:since AS timestamptz), CAST(:until AS timestamptz) - interval '1 hour', '1 hour') AS hour_at,
        LATERAL (SELECT (40 * (1 + extract(hour FROM hour_at)) * (1 + bot % 7))::bigint AS seen) AS views
    """
)


async def _year(server: Server, password: str) -> list[Figure]:
    given = Given(server.host, server.port, server.database, password, "http://127.0.0.1:1", [], {})
    since, until = YEAR
    async with connections(given) as at:
        async with at.transaction() as session:
            await session.execute(text("SELECT make_metric_months('2025-01-01', '2025-12-01')"))
        for month in range(1, 13):
            ends = until if month == 12 else since.replace(month=month + 1)
            async with at.transaction() as session:
                await session.execute(_FILL, {"bots": YEAR_BOTS, "since": since.replace(month=month), "until": ends})
        async with at.standing_session() as session:
            await session.execute(text("VACUUM ANALYZE post_metrics"))
        began = time.perf_counter()
        async with at.transaction() as session:
            marked = await rollup_rows.mark(session, since, until)
        await rollups.roll_up(at)
        rebuilt = time.perf_counter() - began
        async with at.standing_session() as session:
            await session.execute(text("VACUUM ANALYZE bot_metrics_hourly"))
        pages = [await _page(at, number % YEAR_BOTS + 1, since, until) for number in range(PAGE_QUERIES)]
        began = time.perf_counter()
        async with at.transaction() as session:
            dropped = (
                await session.execute(text("SELECT drop_metric_months('bot_metrics_hourly', '2025-02-01')"))
            ).scalar_one()
        expired = time.perf_counter() - began
    assert (marked, dropped) == (YEAR_BOTS * 365 * 24, ["bot_metrics_hourly_2025_01"])
    return [
        Figure(
            "metrics_year_of_rollups",
            rebuilt,
            None,
            "s",
            "a year of 1,000 bots",
            {
                "thousand hours of bots a second": marked / rebuilt / 1000,
            },
            f"{marked:,} snapshots (one an hour of each of {YEAR_BOTS:,} bots) rolled up from nothing by hour and day, "
            "by the same statements that roll up step by step. fsync is off.",
        ),
        Figure(
            "metrics_page_of_a_bot_p50_ms",
            median(pages),
            None,
            "ms",
            "< 20",
            {"p99": sorted(pages)[-len(pages) // 100]},
            f"A week of hours and 90 days of one bot out of a year of {YEAR_BOTS:,}, over {PAGE_QUERIES} pages.",
        ),
        Figure(
            "metrics_month_expires_ms",
            expired * 1000,
            None,
            "ms",
            "< 100",
            note=f"A month of hourly rollups of {YEAR_BOTS:,} bots dropped: {YEAR_BOTS * 744:,} rows.",
        ),
    ]


async def _page(at: Connections, bot: int, since: datetime, until: datetime) -> float:
    """Milliseconds for what the page of a bot asks."""
    async with at.transaction() as session:
        bot_id: UUID = (await session.execute(text("SELECT md5(:bot)::uuid"), {"bot": str(bot)})).scalar_one()
        began = time.perf_counter()
        hours = await rollup_rows.of_bot(session, bot_id, "hour", until - timedelta(days=7), until)
        days = await rollup_rows.of_bot(session, bot_id, "day", until - timedelta(days=90), until)
        seconds = time.perf_counter() - began
    assert (len(hours), len(days)) == (168, 90)
    return seconds * 1000
