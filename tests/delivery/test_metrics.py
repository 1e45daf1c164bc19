"""Collecting metrics on a real Postgres and a real X: what is read when, for how much, and what becomes of what X no
longer gives."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from multiprocessing.process import BaseProcess
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from blocks.x.wire import CreatePost
from tasks.domain.credentials import access_path
from tasks.operations import account_metrics, deletions, maintenance, metric_plan, post_metrics, rejudging, rollups
from tasks.operations.deletions import Erased
from tasks.operations.metric_batches import Collected
from tasks.operations.metric_plan import Plan
from tasks.store.deletions import ERASED
from tests.delivery.conftest import Sender
from tests.delivery.metrics_process import Run, start
from tests.makers import stored_app
from tests.waiting import until

HOUR = timedelta(hours=1)
# Tables of measurements, each in parts by month.
MONTHLY_TABLES = 8


async def published(sender: Sender, bot_id: UUID, count: int = 1) -> list[str]:
    """Posts that are out, here and on X; their ids on X."""
    token = SecretStr(sender.kv.secrets[access_path(bot_id)]["access_token"])
    found = []
    for post_id in await sender.schedule(bot_id, count):
        created = await sender.at.x.create_post(token, CreatePost(text=f"Read this {post_id}"))
        await sender.sql(
            "UPDATE posts SET status = 'published', x_post_id = :x, published_at = app_now() WHERE id = :id",
            x=created.data.id,
            id=post_id,
        )
        found.append(created.data.id)
    return found


async def pass_time(sender: Sender, time: timedelta) -> None:
    """On X and here."""
    await sender.let_pass(time)
    sender.x.clock(forward_seconds=time.total_seconds())


async def collect(sender: Sender) -> tuple[Plan, Collected]:
    """One run of the flow."""
    plan = await metric_plan.prepare(sender.at)
    total = await account_metrics.collect(sender.at)
    total.add(await post_metrics.collect(sender.at))
    await rollups.roll_up(sender.at)
    return plan, total


async def rows(sender: Sender, statement: str, **given: Any) -> list[Any]:
    async with sender.at.transaction() as session:
        return list(await session.execute(text(statement), given))


async def one(sender: Sender, statement: str, **given: Any) -> Any:
    return (await rows(sender, statement, **given))[0][0]


NEXT_NOON = "SELECT date_trunc('day', app_now(), 'UTC') + interval '36 hours 7 minutes' - app_now()"


async def with_app(sender: Sender, bots: int, **given: Any) -> list[UUID]:
    """Bots of one app, shortly after a noon: no quarter, hour or day begins where a test does not want it."""
    await pass_time(sender, await one(sender, NEXT_NOON))
    async with sender.at.transaction() as session:
        app_id = await stored_app(session, **given)
    found = await sender.with_bots(bots, x_app_id=app_id)
    await renew(sender, *found)
    return found


def charged(sender: Sender) -> float:
    """What X says that reads have cost."""
    return sum(
        float(spent["usd"])
        for app in sender.x.spend()["apps"]
        for name, spent in app["endpoints"].items()
        if name.startswith("GET")
    )


@pytest.fixture(autouse=True)
def wall_clock(sender: Sender) -> Iterator[None]:
    """Other tests share the sandbox and its clock."""
    yield
    sender.x.control.delete("/clock")


@pytest.mark.promise("D1")
async def test_posts_and_accounts_are_read_at_their_instants_and_cost_what_was_said(sender: Sender) -> None:
    first, second = await with_app(sender, 2, monthly_budget_usd=Decimal(1000))
    await published(sender, first, 3)
    await published(sender, second)
    await pass_time(sender, HOUR)
    before = await metric_plan.plan(sender.at)
    assert [(app.accounts, app.posts, app.put_off, app.calls, app.usd) for app in before.apps] == [
        (2, 4, 0, 3, Decimal("0.040"))
    ]
    assert await one(sender, "SELECT count(*) FROM sampled_posts") == 0  # a look at what would be changes nothing
    _, done = await collect(sender)
    assert (done.calls, done.snapshots, done.billed, dict(done.waiting)) == (3, 6, 6, {})
    assert charged(sender) == pytest.approx(float(before.usd))
    assert await one(sender, "SELECT sum(usd) FROM spend_ledger") == before.usd
    found = await rows(sender, "SELECT * FROM post_metrics")
    assert len({row.bucket_at for row in found}) == 1
    for row in found:
        assert row.bucket_at.minute % 15 == 0 and row.bucket_at <= row.observed_at
        assert row.impressions > 0 and row.organic_impressions == row.impressions and row.profile_clicks is not None
    # Nothing is due a second time.
    assert (await collect(sender))[1].calls == 0


async def test_a_utc_day_is_paid_once_and_what_is_paid_is_read_without_money(sender: Sender) -> None:
    (bot_id,) = await with_app(sender, 1, monthly_budget_usd=Decimal(1000))
    await published(sender, bot_id, 2)
    for _ in range(3):
        await pass_time(sender, timedelta(minutes=20))
        await collect(sender)
    assert await one(sender, "SELECT sum(usd) FROM spend_ledger") == Decimal("0.020")
    assert charged(sender) == pytest.approx(0.02)
    await sender.sql("UPDATE x_apps SET monthly_budget_usd = 0.022")
    await pass_time(sender, timedelta(minutes=20))
    plan, done = await collect(sender)
    assert (plan.usd, done.snapshots) == (0, plan.apps[0].accounts + 2)
    # Tomorrow it would cost, and there is nothing to pay with.
    await pass_time(sender, 13 * HOUR)
    await renew(sender, bot_id)
    plan, done = await collect(sender)
    assert (plan.apps[0].put_off, done.calls, done.snapshots) == (3, 0, 0)
    assert await one(sender, "SELECT count(*) FROM sampled_posts WHERE waits_until > app_now()") == 2


async def renew(sender: Sender, *bot_ids: UUID) -> None:
    """Tokens that serve, however late it is."""
    for bot_id in bot_ids:
        (token,) = sender.x.tokens(f"bot_{sender.bots.index(bot_id)}")
        ends = (await one(sender, "SELECT app_now()")) + 2 * HOUR
        sender.kv.secrets[access_path(bot_id)] = {"access_token": token["access_token"], "expires_at": ends.isoformat()}


async def test_where_money_is_short_the_youngest_posts_are_read(sender: Sender) -> None:
    (bot_id,) = await with_app(sender, 1)
    await published(sender, bot_id, 4)
    await sender.sql(
        "UPDATE posts SET published_at = published_at - place * interval '1 minute'"
        " FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM posts) AS p WHERE p.id = posts.id"
    )
    await pass_time(sender, HOUR)
    days = await one(sender, "SELECT extract(day FROM next_month(app_now()) - app_now())::integer + 1")
    share = sender.at.places.settings.metrics.budget_share
    # An account and two posts a day.
    await sender.sql("UPDATE x_apps SET monthly_budget_usd = :usd", usd=Decimal("0.0205") * days / share)
    plan, done = await collect(sender)
    assert (plan.apps[0].posts, plan.apps[0].put_off, done.billed) == (2, 2, 3)
    read = await rows(sender, "SELECT post.published_at FROM post_metrics JOIN posts AS post ON post.id = post_id")
    assert {row[0] for row in read} == {
        row[0] for row in await rows(sender, "SELECT published_at FROM posts ORDER BY published_at DESC LIMIT 2")
    }


async def test_old_posts_of_several_bots_are_read_together_and_without_private_counts(sender: Sender) -> None:
    sender.with_settings("metrics", daily_days=60)
    bots = await with_app(sender, 3)
    for bot_id in bots:
        await published(sender, bot_id)
    await pass_time(sender, timedelta(days=31))
    await renew(sender, *bots)
    _, done = await collect(sender)
    assert (done.calls, done.snapshots) == (2, 6)
    assert await one(sender, "SELECT count(profile_clicks) + count(organic_likes) FROM post_metrics") == 0
    assert await one(sender, "SELECT count(impressions) FROM post_metrics") == 3


async def test_a_bot_without_a_token_is_read_by_another_of_its_app(sender: Sender) -> None:
    first, second = await with_app(sender, 2)
    await published(sender, first)
    await published(sender, second)
    await pass_time(sender, HOUR)
    del sender.kv.secrets[access_path(first)]
    _, done = await collect(sender)
    assert (done.snapshots, dict(done.waiting)) == (4, {})
    found = {row.bot_id: row for row in await rows(sender, "SELECT * FROM post_metrics")}
    assert found[first].impressions and found[first].profile_clicks is None
    assert found[second].profile_clicks is not None


@pytest.mark.parametrize(
    ("happens", "became"), [("deleted", "deleted"), ("suspended", "suspended"), ("protected", "protected")]
)
async def test_what_x_no_longer_gives_is_marked_by_what_became_of_it(sender: Sender, happens: str, became: str) -> None:
    first, second = await with_app(sender, 2)
    (x_post_id,) = await published(sender, first)
    await published(sender, second)
    await pass_time(sender, HOUR)
    await collect(sender)
    if happens == "deleted":
        token = SecretStr(sender.kv.secrets[access_path(first)]["access_token"])
        await sender.at.x.delete_post(token, x_post_id)
    else:
        sender.x.account("bot_0", **{happens: True})
    if happens == "protected":
        del sender.kv.secrets[access_path(first)]  # it sees its own posts
    await pass_time(sender, timedelta(minutes=20))
    _, done = await collect(sender)
    assert (dict(done.gone), dict(done.waiting)) == ({}, {})  # missed once is not gone
    await pass_time(sender, timedelta(minutes=11))
    _, done = await collect(sender)
    assert dict(done.gone) == {became: 1}
    state = await one(sender, "SELECT fate FROM sampled_posts WHERE x_post_id = :x", x=x_post_id)
    assert state == became
    status = await one(sender, "SELECT status FROM posts WHERE x_post_id = :x", x=x_post_id)
    assert status == ("deleted" if became == "deleted" else "published")
    if happens == "suspended":
        sender.x.account("bot_0", suspended=False)
        await pass_time(sender, 2 * HOUR)
        await renew(sender, first, second)
        await collect(sender)
        assert await one(sender, "SELECT fate FROM sampled_posts WHERE x_post_id = :x", x=x_post_id) is None


async def test_a_request_without_an_answer_stays_booked_and_is_asked_again(sender: Sender) -> None:
    (bot_id,) = await with_app(sender, 1)
    await published(sender, bot_id)
    await pass_time(sender, HOUR)
    sender.x.fault("drop", when="after", endpoint="GET /2/tweets", count=1)
    _, done = await collect(sender)
    assert done.snapshots == 1 and sum(done.waiting.values()) == 1
    assert await one(sender, "SELECT usd FROM spend_ledger WHERE kind = 'post_read'") == Decimal("0.005")
    await pass_time(sender, timedelta(minutes=6))
    _, done = await collect(sender)
    assert (done.snapshots, done.waiting.total()) == (1, 0)
    assert charged(sender) == pytest.approx(0.015)


async def test_a_limit_of_x_is_waited_for(sender: Sender) -> None:
    (bot_id,) = await with_app(sender, 1)
    await published(sender, bot_id)
    await pass_time(sender, HOUR)
    sender.x.fault("problem", problem="too-many-requests", reset_seconds=600, endpoint="GET /2/tweets", count=1)
    await collect(sender)
    waits = await one(sender, "SELECT extract(epoch FROM waits_until - app_now()) FROM sampled_posts")
    assert 500 < waits <= 600
    assert await one(sender, "SELECT coalesce(sum(resources), 0) FROM spend_ledger WHERE kind = 'post_read'") == 0


async def test_what_is_gone_is_erased_within_a_day_and_the_rollups_forget_it(sender: Sender) -> None:
    first, second = await with_app(sender, 2)
    gone, kept = await published(sender, first, 2)
    (hidden,) = await published(sender, second)
    await rejudging.look_over(sender.at)
    assert await one(sender, "SELECT count(*) FROM text_fingerprints") == 3
    await pass_time(sender, HOUR)
    await collect(sender)
    before = await one(sender, "SELECT sum(impressions) FROM bot_metrics_hourly WHERE bot_id = :bot", bot=first)
    await sender.at.x.delete_post(SecretStr(sender.kv.secrets[access_path(first)]["access_token"]), gone)
    sender.x.account("bot_1", suspended=True)
    for minutes in (20, 11):
        await pass_time(sender, timedelta(minutes=minutes))
        await collect(sender)
    assert await deletions.honour(sender.at) == Erased()  # an account may come back, and X be wrong for an hour
    await sender.let_pass(23 * HOUR - timedelta(seconds=3600))
    seen = await one(
        sender, "SELECT count(*) FROM post_metrics WHERE post_id <> (SELECT id FROM posts WHERE x_post_id = :x)", x=kept
    )
    assert seen == 2
    assert await deletions.honour(sender.at) == Erased(posts=2, snapshots=2, texts=1)
    assert await deletions.honour(sender.at) == Erased()
    await rollups.roll_up(sender.at)
    texts = {row.x_post_id: row.text for row in await rows(sender, "SELECT x_post_id, text FROM posts")}
    assert texts[gone] == ERASED
    assert ERASED not in (texts[kept], texts[hidden])
    assert await one(sender, "SELECT count(*) FROM text_fingerprints") == 2
    after = await rows(sender, "SELECT * FROM post_metrics")
    assert {row.post_id for row in after} == {await one(sender, "SELECT id FROM posts WHERE x_post_id = :x", x=kept)}
    assert await one(sender, "SELECT count(*) FROM post_metrics_daily") == 1
    left = await one(sender, "SELECT sum(impressions) FROM bot_metrics_hourly WHERE bot_id = :bot", bot=first)
    assert 0 < left and left == await one(sender, "SELECT max(impressions) FROM post_metrics")
    assert before != left
    noted = await rows(sender, "SELECT action FROM audit_log WHERE action = 'posts.erase'")
    assert len(noted) == 2
    # Erased is for good: no later reading brings it back.
    sender.x.account("bot_1", suspended=False)
    await pass_time(sender, timedelta(minutes=1))
    await renew(sender, first, second)
    await collect(sender)
    assert await one(sender, "SELECT count(*) FROM post_metrics WHERE bot_id = :bot", bot=second) == 0


async def test_posts_that_are_read_no_more_go_with_their_account_and_come_back_with_it(sender: Sender) -> None:
    first, _ = await with_app(sender, 2)
    await published(sender, first)
    await pass_time(sender, HOUR)
    await collect(sender)
    await sender.sql("UPDATE sampled_posts SET next_at = NULL")
    for suspended, fate in ((True, "suspended"), (False, None)):
        sender.x.account("bot_0", suspended=suspended)
        await pass_time(sender, HOUR)
        await renew(sender, *sender.bots)
        await collect(sender)
        await metric_plan.prepare(sender.at)
        assert await one(sender, "SELECT fate FROM sampled_posts") == fate


async def test_what_we_deleted_ourselves_is_erased_without_asking_x(sender: Sender) -> None:
    (bot_id,) = await with_app(sender, 1)
    await published(sender, bot_id)
    await pass_time(sender, HOUR)
    await collect(sender)
    await sender.sql("UPDATE posts SET status = 'deleted'")
    await pass_time(sender, timedelta(minutes=20))
    _, done = await collect(sender)
    assert (done.calls, await one(sender, "SELECT count(*) FROM post_metrics")) == (0, 1)
    await sender.let_pass(20 * HOUR)
    assert (await deletions.honour(sender.at)).texts == 1


async def test_months_are_made_ahead_and_dropped_by_level(sender: Sender) -> None:
    sender.with_settings("metrics", ahead_days=93, snapshot_days=31, hourly_days=62)
    await sender.let_pass(timedelta(days=200))
    kept = await maintenance.keep_months(sender.at)
    assert kept.made % MONTHLY_TABLES == 0 and kept.made >= MONTHLY_TABLES * 4
    levels = Counter(name.rpartition("_")[0].rpartition("_")[0] for name in kept.dropped)
    assert levels["post_metrics"] == levels["account_metrics"] == levels["bot_metrics_hourly"] == 4
    assert levels["bot_metrics_daily"] == levels["post_metrics_daily"] == 0
    again = await maintenance.keep_months(sender.at)
    assert (again.made, again.dropped) == (0, [])
    # A stack that was down for a year reads on although nobody has made this month yet.
    await sender.let_pass(timedelta(days=400))
    (bot_id,) = await with_app(sender, 1)
    sender.x.clock(ahead_seconds=timedelta(days=600).total_seconds())
    await renew(sender, bot_id)
    await published(sender, bot_id)
    await pass_time(sender, HOUR)
    assert (await collect(sender))[1].snapshots == 2


# All that is kept, but for when X was asked, and in what order rows lie.
WHOLE = {
    "post_metrics": "to_jsonb(t) - 'observed_at'",
    "account_metrics": "to_jsonb(t) - 'observed_at'",
    "post_metrics_daily": "to_jsonb(t)",
    "bot_metrics_hourly": "to_jsonb(t)",
    "bot_metrics_daily": "to_jsonb(t)",
    "sampled_posts": "jsonb_build_array(post_id, next_at, paid_on, fate)",
}


async def checksums(sender: Sender) -> dict[str, str]:
    whole = "SELECT count(*) || ' ' || md5(string_agg(md5(({})::text), '' ORDER BY md5(({})::text))) FROM {} AS t"
    return {table: await one(sender, whole.format(row, row, table)) for table, row in WHOLE.items()}


def a_run(sender: Sender) -> BaseProcess:
    at = sender.at
    secrets = {path: dict(secret) for path, secret in sender.kv.secrets.items()}
    return start(Run(at.places.settings, at.server, sender.password, sender.x.url, secrets))


@pytest.mark.promise("D1")
async def test_kill_9_in_the_middle_and_another_order_of_arrival_make_the_same_tables(sender: Sender) -> None:
    """X's clock stands still, so that it says the same to whoever asks; each round X answers in another order."""
    sender.with_settings("metrics", batch=100, lease_seconds=60, readers=3)
    bots = await with_app(sender, 6)
    for bot_id in bots:
        await published(sender, bot_id, 50)
    await pass_time(sender, HOUR)
    sender.x.clock(speed=0)
    await renew(sender, *bots)
    _, done = await collect(sender)
    assert done.snapshots == 306
    straight = await checksums(sender)

    for table in (*list(WHOLE)[:5], "metric_changes", "sampled_posts", "sampled_accounts"):
        await sender.sql(f"DELETE FROM {table}")  # noqa: S608
    sender.x.settings(latency_ms=[50, 250])
    killed = a_run(sender)
    written = "SELECT count(*) FROM post_metrics"
    await until(lambda: one(sender, written), 20)
    killed.kill()
    killed.join(10)
    assert 0 < await one(sender, written) < 300
    assert await checksums(sender) != straight
    # What it had taken and not written is due again after its lease; two runs at once share what is left.
    await sender.let_pass(timedelta(seconds=61))
    sender.x.settings(latency_ms=[0, 300])
    both = [a_run(sender), a_run(sender)]
    for run in both:
        await asyncio.to_thread(run.join, 60)
    assert [run.exitcode for run in both] == [0, 0]
    assert await checksums(sender) == straight
    sender.x.settings(latency_ms=0)
