"""What Prometheus reads: who may, every figure, each counted once, and cheaply with ten thousand bots."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics_families
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from config.places import Places
from config.settings import Monitoring
from deployments.gateway.prometheus import METRICS, PER_BOT
from deployments.local.board import Board
from deployments.local.processes import Process
from tasks.store import senders
from tests.gateway.conftest import Front, a_key
from tests.makers import stored_app, stored_bots, stored_posts
from tests.prefect_stand_in import PrefectStandIn
from tests.promtool import promtool

Sessions = async_sessionmaker[AsyncSession]
# A sample's name and its labels, sorted.
Sample = tuple[str, tuple[tuple[str, str], ...]]
# What prometheus_client says of the process itself.
OF_THE_PROCESS = ("process_", "python_")


@pytest.fixture
def places(places: Places) -> Places:
    """Figures are counted at each look, and for each bot too."""
    monitoring = Monitoring(fresh_seconds=0, runs_seconds=0, per_bot=True)
    return Places(places.settings.model_copy(update={"monitoring": monitoring}))


@pytest.fixture
async def prefect(places: Places) -> AsyncIterator[PrefectStandIn]:
    async with PrefectStandIn().running(places) as server:
        yield server


async def scrape(front: Front, **headers: str) -> httpx.Response:
    return await front.admin.get("/metrics", headers=headers)


async def figures(front: Front) -> Mapping[Sample, float]:
    answer = await scrape(front)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def told(found: Mapping[Sample, float], name: str, **labels: str) -> float | None:
    return found.get((f"vivesphere_{name}", tuple(sorted(labels.items()))))


async def an_attempt(session: AsyncSession, post_id: Any, ended: str, late_seconds: float | None = None) -> None:
    """An attempt for a post ends now; its first byte left so long after the planned instant."""
    sender = await senders.add(
        session, host="here", boot_id="b", pid_namespace=1, pid=1, start_ticks=1, flow_run_id=None
    )
    await session.execute(
        text(
            "INSERT INTO publish_attempts (post_id, bot_id, revision, sender_id, lease_epoch, fingerprint, start_by,"
            " give_up_at, ended, ended_at, first_byte_at, x_post_id, token_expires_at)"
            " SELECT id, bot_id, 1, :sender, 1, sha256(id::text::bytea), app_now(), app_now(), :ended, app_now(),"
            " planned_at + make_interval(secs => :late), CASE WHEN :ended = 'accepted' THEN id::text END, app_now()"
            " FROM posts WHERE id = :id"
        ),
        {"id": post_id, "ended": ended, "sender": sender, "late": late_seconds},
    )


async def test_only_who_may_see_everything_reads_the_figures(front: Front) -> None:
    assert (await front.anybody.get("/metrics")).status_code == 401
    for name, role, status in (
        ("scraper", ("viewer", None), 200),
        ("of-a-label", ("viewer", "wien"), 403),
        ("a-worker", ("worker", None), 403),
    ):
        answer = await front.anybody.get("/metrics", headers=await a_key(front, name, role))
        assert answer.status_code == status, name


async def test_every_figure_is_told_and_read_by_prometheus_own_parsers(
    front: Front, sessions: Sessions, prefect: PrefectStandIn
) -> None:
    run = {"state": {}, "expected_start_time": None, "start_time": None, "deployment_id": prefect.deployments[0]["id"]}
    ended = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    for number, (state, end) in enumerate((("COMPLETED", ended), ("FAILED", ended), ("RUNNING", None))):
        prefect.runs[str(number)] = {
            **run,
            "id": f"0193a5f2-6c00-7000-8000-00000000000{number}",
            "name": "r",
            "state_type": state,
            "end_time": end,
        }
    async with sessions.begin() as session:
        app_id = await stored_app(session, name="city", monthly_budget_usd=Decimal(10))
        bots = await stored_bots(session, 2, x_app_id=app_id)
        await session.execute(
            text("INSERT INTO spend_months (x_app_id, month, usd) VALUES (:app, utc_month(app_now()), 2.5)"),
            {"app": app_id},
        )
        await session.execute(
            text(
                "INSERT INTO rate_windows (subject_id, endpoint, bucket_at, used)"
                " VALUES (:app, 'POST /2/tweets', app_now(), 7)"
            ),
            {"app": app_id},
        )
        await session.execute(
            text(
                "INSERT INTO credentials (kind, bot_id, vault_path, version, issued_at, expires_at)"
                " SELECT 'x_user_access', id, handle, 1, app_now(),"
                " app_now() + CASE handle WHEN 'bot_0' THEN interval '-1 minute' ELSE interval '1 hour' END FROM bots"
            )
        )
        await stored_posts(session, bots[0], 2, due_in_seconds=-100)
        await stored_posts(session, bots[0], 3, due_in_seconds=600)
        [held] = await stored_posts(session, bots[1])
        await session.execute(
            text("UPDATE posts SET status = 'held', updated_at = app_now() - interval '1 hour' WHERE id = :id"),
            {"id": held},
        )
        await session.execute(
            text("INSERT INTO breakers (bot_id, cause, evidence) VALUES (:bot, 'suspended', 'X said so')"),
            {"bot": bots[1]},
        )
        await stored_posts(session, bots[1], 1, due_in_seconds=-5)
        await session.execute(
            text(
                "INSERT INTO trend_sources (name, place, class, wanted, tried_at, good_at, failures)"
                " VALUES ('mastodon_tags', 'mastodon.social', 'api', true, app_now(), app_now(), 2)"
            )
        )
    await figures(front)
    async with sessions.begin() as session:
        published, refused = await stored_posts(session, bots[0], 2, due_in_seconds=50)
        await an_attempt(session, published, "accepted", 0.3)
        await session.execute(text("UPDATE posts SET status = 'refused' WHERE id = :id"), {"id": refused})

    found = await figures(front)
    assert told(found, "posts_total", outcome="published") == 1
    assert told(found, "posts_total", outcome="refused") == 1
    assert told(found, "posts_total", outcome="expired") == 0
    assert told(found, "publish_attempts_total", outcome="accepted") == 1
    assert told(found, "post_lateness_seconds_bucket", le="0.25") == 0
    assert told(found, "post_lateness_seconds_bucket", le="0.5") == 1
    assert told(found, "post_lateness_seconds_count") == 1
    assert told(found, "post_lateness_seconds_sum") == pytest.approx(0.3)
    assert told(found, "posts_due") == 2
    assert 100 <= (told(found, "oldest_due_post_seconds") or 0) < 200
    assert told(found, "posts_silenced") == 1
    assert told(found, "posts_due_within_hour") == 4
    assert (told(found, "posts_held"), told(found, "posts_unknown")) == (1, 0)
    assert (told(found, "oldest_held_post_seconds") or 0) >= 3600
    assert told(found, "breakers_open", cause="suspended") == 1
    assert told(found, "bots", state="active") == 2
    assert told(found, "app_spend_usd", app="city") == 2.5
    assert told(found, "app_budget_usd", app="city") == 10
    assert told(found, "app_limit_requests", app="city", endpoint="POST /2/tweets") == 10_000
    assert told(found, "app_limit_left_requests", app="city", endpoint="POST /2/tweets") == 10_000 - 7
    assert told(found, "busiest_bot_limit_left_requests") == 99
    assert told(found, "credentials_ended", kind="x_user_access") == 1
    first_end = told(found, "credential_first_end_timestamp_seconds", kind="x_user_access") or 0
    assert 3500 < first_end - datetime.now(UTC).timestamp() < 3700
    assert told(found, "dependency_up", dependency="database") == 1
    assert told(found, "dependency_up", dependency="vault") == 1
    assert told(found, "dependency_up", dependency="prefect") == 1
    assert told(found, "workers_online") == 1
    assert told(found, "trend_source_failures", source="mastodon_tags:mastodon.social") == 2
    assert told(found, "flow_runs", state="running") == 1
    posting = "publish-due-posts/every-minute"
    assert told(found, "flow_runs_ended_total", deployment=posting, state="failed") == 1
    assert told(found, "flow_runs_ended_total", deployment=posting, state="completed") == 1
    assert told(found, "deployment_last_completed_timestamp_seconds", deployment=posting)
    assert told(found, "bot_posts_total", bot="bot_0", outcome="published") == 1
    assert told(found, "bot_token_end_timestamp_seconds", bot="bot_1")

    plain = await scrape(front)
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(plain.text)}
    ours = {name for name in families if not name.startswith(OF_THE_PROCESS)}
    assert ours == {figure.name for figure in (*METRICS, *PER_BOT)}
    assert all(families[figure.name].documentation == figure.means for figure in METRICS)
    # The supervisor of these tests' machine is none.
    silent = {"vivesphere_supervisor_up", "vivesphere_part_up", "vivesphere_part_restarts"}
    assert {name for name in ours if not families[name].samples} == silent

    newer = await scrape(front, Accept="application/openmetrics-text; version=1.0.0")
    assert {family.name for family in open_metrics_families(newer.text)} >= ours
    assert (await scrape(front, Accept="text/plain; version=x")).status_code == 200

    await asyncio.to_thread(promtool, "check", "metrics", given=plain.text)


async def test_an_end_is_counted_once_and_a_settled_unknown_counts_again(front: Front, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        [bot] = await stored_bots(session)
        before, after = await stored_posts(session, bot, 2)
        await an_attempt(session, before, "accepted", 0)
    await figures(front)
    async with sessions.begin() as session:
        await an_attempt(session, after, "unknown", 2)
    for _ in range(3):
        found = await figures(front)
        # What ended before anybody looked is not told: a counter begins with its process.
        assert told(found, "posts_total", outcome="published") == 0
        assert told(found, "posts_total", outcome="unknown") == 1
    async with sessions.begin() as session:
        await session.execute(
            text(
                "UPDATE publish_attempts SET ended = 'accepted', ended_at = app_now(), x_post_id = 'y'"
                " WHERE ended = 'unknown'"
            )
        )
    for _ in range(2):
        found = await figures(front)
        assert told(found, "posts_total", outcome="published") == 1
        assert told(found, "posts_total", outcome="unknown") == 1
        assert told(found, "post_lateness_seconds_bucket", le="2.5") == 1


async def test_without_prefect_its_figures_are_missing_and_the_others_are_not(front: Front) -> None:
    found = await figures(front)
    assert told(found, "dependency_up", dependency="prefect") == 0
    assert told(found, "dependency_up", dependency="database") == 1
    assert told(found, "workers_online") is None
    assert told(found, "posts_due") == 0


async def test_the_parts_of_the_stack_are_told_as_the_supervisor_sees_them(front: Front) -> None:
    this = Process.of(os.getpid())
    assert this is not None
    gone = replace(this, start_ticks=this.start_ticks + 1)
    board = Board(front.places.home, this)
    board.part("schema", state="done")
    board.part("worker", state="up", process=this)
    board.part("openbao", state="up", process=gone)
    board.part("clerk", state="restarting", process=None, restarts=3)
    found = await figures(front)
    assert told(found, "supervisor_up") == 1
    assert {part: told(found, "part_up", part=part) for part in ("worker", "openbao", "clerk", "schema")} == {
        "worker": 1,
        "openbao": 0,
        "clerk": 0,
        "schema": None,
    }
    assert told(found, "part_restarts_total", part="clerk") == 3


class TestAtScale:
    """Ten thousand bots, each with a post that is due, a token, and one that has just gone out."""

    @pytest.fixture
    def places(self, places: Places) -> Places:
        """Counted at most every ten seconds, as by default."""
        return Places(places.settings.model_copy(update={"monitoring": Monitoring()}))

    async def test_ten_thousand_bots_are_counted_quickly_and_once_for_many_readers(
        self, front: Front, sessions: Sessions
    ) -> None:
        await figures(front)
        front.app.state.opening.ready.connections._kept.clear()
        async with sessions.begin() as session:
            app_id = await stored_app(session, name="city")
            await stored_bots(session, 10_000, x_app_id=app_id)
            sender = await senders.add(
                session, host="here", boot_id="b", pid_namespace=1, pid=1, start_ticks=1, flow_run_id=None
            )
            await session.execute(
                text(
                    "INSERT INTO credentials (kind, bot_id, vault_path, version, issued_at, expires_at)"
                    " SELECT 'x_user_access', id, handle, 1, app_now(), app_now() + interval '1 hour' FROM bots"
                )
            )
            await session.execute(
                text(
                    "INSERT INTO posts (bot_id, text, due_at, planned_at, next_at, source, status, created_by,"
                    " x_post_id, published_at, updated_at) SELECT id, 'x', instant, instant, instant, 'api',"
                    " CASE WHEN n = 1 THEN 'published' ELSE 'scheduled' END, 'tests',"
                    " CASE WHEN n = 1 THEN handle END, CASE WHEN n = 1 THEN instant END, instant"
                    " FROM bots, generate_series(1, 10) AS n,"
                    " LATERAL (SELECT app_now() + (n - 2) * interval '1 minute' AS instant) AS clock"
                )
            )
            await session.execute(
                text(
                    "INSERT INTO publish_attempts (post_id, bot_id, x_app_id, revision, sender_id, lease_epoch,"
                    " fingerprint, start_by, give_up_at, ended, ended_at, first_byte_at, x_post_id, token_expires_at)"
                    " SELECT id, bot_id, :app, 1, :sender, 1, sha256(id::text::bytea), planned_at, planned_at,"
                    " 'accepted', app_now(), planned_at, x_post_id, app_now() FROM posts WHERE status = 'published'"
                ),
                {"app": app_id, "sender": sender},
            )
            await session.execute(text("ANALYZE posts, publish_attempts, bots, credentials"))
        first = await figures(front)
        assert told(first, "bots", state="active") == 10_000
        assert told(first, "posts_due") == 10_000
        assert told(first, "busiest_bot_limit_left_requests") == 99
        took = told(first, "counting_seconds") or 0
        print(f"figures of 10,000 bots: {took * 1000:.0f} ms, {len(first)} series")
        assert took < 2
        assert len(first) < 250, "labels are bounded"
        again = await figures(front)
        assert told(again, "counting_seconds") == took, "it was counted anew for a second reader"
