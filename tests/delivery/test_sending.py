"""A sender on a real database and a real sandbox: what goes out, what does not, and what is said of it."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.postgres.engine import Server
from blocks.vault.errors import Unreachable, VaultError
from blocks.vault.kv import Secret
from config.places import Places
from config.settings import Settings
from tests.delivery.conftest import FAST, FakeKv, Sender
from tests.postgres_process import PostgresProcess
from tests.waiting import until


@pytest.mark.promise("P1")
async def test_every_due_post_goes_out_once_and_says_so(sender: Sender) -> None:
    bots = await sender.with_bots(5)
    ids = [post for bot in bots for post in await sender.schedule(bot, 8)]
    sent = await sender.run(1)
    ledger = sender.ledger()
    rows = [await sender.post(post_id) for post_id in ids]
    assert Counter(entry["text"] for entry in ledger) == Counter(row.text for row in rows)
    assert {row.status for row in rows} == {"published"}
    assert {row.x_post_id for row in rows} == {entry["x_post_id"] for entry in ledger}
    assert Counter(one.status for one in sent) == {"published": 40}


async def test_a_post_never_goes_out_before_its_instant(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot, due_in_seconds=0.7)
    [sent] = await sender.run(1.5)
    assert (await sender.post(post)).status == "published"
    assert sent.lateness_seconds is not None
    assert sent.lateness_seconds >= 0


async def test_a_post_made_while_a_run_waits_wakes_it_up(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    run = asyncio.create_task(sender.run(2))
    [post] = await sender.schedule(bot)
    await sender.accepted()
    await run
    assert (await sender.post(post)).status == "published"


@pytest.mark.promise("P1")
@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "drop", "when": "after"},
        {"fault": "error", "when": "after"},
        {"fault": "error", "when": "before"},
        {"fault": "reset", "when": "after"},
        {"fault": "cut", "when": "after"},
        {"fault": "truncate", "when": "after"},
        {"fault": "freeze", "when": "after"},
    ],
    ids=lambda fault: f"{fault['fault']}-{fault['when']}",
)
async def test_without_an_answer_a_post_is_unknown_and_nothing_sends_it_again(
    sender: Sender, fault: dict[str, str]
) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    sender.x.fault(**fault, endpoint="POST /2/tweets", count=1)
    first = await sender.run(0.5)
    again = await sender.run(0.5)
    assert [one.status for one in first] == ["unknown"]
    assert again == []
    assert (await sender.post(post)).status == "unknown"
    assert len(sender.ledger()) == (1 if fault["when"] == "after" else 0)


async def test_what_x_refuses_ends_with_its_reason(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [first] = await sender.schedule(bot, text="Said once")
    await sender.run(0.3)
    [second] = await sender.schedule(bot, text="Said once")
    await sender.run(0.3)
    assert (await sender.post(first)).status == "published"
    row = await sender.post(second)
    assert row.status == "refused"
    assert row.reason is not None
    assert "duplicate" in row.reason.lower()


async def test_a_throttled_post_waits_until_x_says_and_then_goes_out(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    posts = await sender.schedule(bot, 2)
    sender.x.settings(limits={"POST /2/tweets": {"user_15_minutes": 1}})
    sent = await sender.run(0.4)
    assert Counter(one.status for one in sent) == {"published": 1, "scheduled": 1}
    [waits] = [post for post in posts if (await sender.post(post)).status == "scheduled"]
    assert await sender.run(0.3) == []
    sender.x.settings(limits={"POST /2/tweets": {"user_15_minutes": 100}})
    # Until its window ends, X's own word stands.
    await sender.sql("UPDATE rate_limits_told SET resets_at = app_now()")
    await sender.sql("UPDATE posts SET next_at = app_now()")
    await sender.run(0.4)
    assert (await sender.post(waits)).status == "published"
    assert len(sender.ledger()) == 2


async def test_a_refused_token_asks_for_a_sign_in_and_the_post_waits(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    sender.x.fault("problem", problem="unauthorized", endpoint="POST /2/tweets", count=1)
    await sender.run(0.4)
    row = await sender.post(post)
    async with sender.at.transaction() as session:
        state = (await session.execute(text("SELECT state FROM bots"))).scalar_one()
    assert (row.status, state) == ("scheduled", "needs_login")
    assert await sender.run(0.3) == []


async def test_a_token_that_was_refreshed_meanwhile_is_no_lost_login(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    await sender.sql(
        "INSERT INTO credentials (kind, bot_id, vault_path, version, issued_at, expires_at)"
        " VALUES ('x_user_access', :bot, 'bots/one/access', 2, app_now(), app_now() + interval '3 hours')",
        bot=bot,
    )
    sender.x.fault("problem", problem="unauthorized", endpoint="POST /2/tweets", count=1)
    await sender.run(1)
    async with sender.at.transaction() as session:
        state = (await session.execute(text("SELECT state FROM bots"))).scalar_one()
    assert ((await sender.post(post)).status, state) == ("published", "active")


async def test_with_the_vault_away_posts_wait_and_go_out_when_it_is_back(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    sender.kv.away = Unreachable("the vault")
    await sender.run(0.3)
    row = await sender.post(post)
    assert row.status == "scheduled"
    assert row.reason is not None
    assert "vault" in row.reason
    sender.kv.away = None
    await sender.run(0.5)
    assert (await sender.post(post)).status == "published"


class SlowKv:
    """A vault that answers once it is let."""

    def __init__(self, kv: FakeKv, answers: threading.Event) -> None:
        self._kv = kv
        self._answers = answers

    def read_many(self, paths: Sequence[str]) -> dict[str, Secret | VaultError]:
        """As Kv.read_many."""
        assert self._answers.wait(10)
        return self._kv.read_many(paths)


class BrokenOnceKv:
    """A vault whose first answer never arrives."""

    def __init__(self, kv: FakeKv) -> None:
        self._kv = kv
        self._broken = False

    def read_many(self, paths: Sequence[str]) -> dict[str, Secret | VaultError]:
        """As Kv.read_many."""
        if not self._broken:
            self._broken = True
            raise Unreachable("the vault")
        return self._kv.read_many(paths)


async def test_a_vault_that_does_not_answer_holds_up_none_whose_token_is_known(sender: Sender) -> None:
    known, strange = await sender.with_bots(2)
    await sender.schedule(known)
    await sender.run(0.3)
    answers = threading.Event()
    sender.at.kv = SlowKv(sender.kv, answers)  # type: ignore[assignment]
    [first], [second] = await sender.schedule(known), await sender.schedule(strange)
    run = asyncio.create_task(sender.run(2))
    await sender.accepted(2)
    assert (await sender.post(second)).status == "claimed"
    answers.set()
    sent = {one.post_id: one for one in await run}
    assert (sent[first].status, sent[second].status) == ("published", "published")


async def test_a_claim_that_is_cut_short_is_given_back_and_not_kept_for_ever(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    sender.at.kv = BrokenOnceKv(sender.kv)  # type: ignore[assignment]
    await sender.run(1)
    assert (await sender.post(post)).status == "published"


@asynccontextmanager
async def no_logins(server: str) -> AsyncIterator[None]:
    """Every connection of the application is cut, and none can be opened."""
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as admin:
        await admin.execute("ALTER ROLE vivesphere_app NOLOGIN")
        try:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND usename = 'vivesphere_app'"
            )
            yield
        finally:
            await admin.execute("ALTER ROLE vivesphere_app LOGIN")


@pytest.mark.promise("P1")
async def test_claims_are_given_back_and_go_out_once_the_database_is_there_again(
    sender: Sender, postgres: PostgresProcess, database: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither marking nor giving back found it; the run that holds them renews their lease all the while."""
    sender.with_settings("posting", ahead_seconds=5, lease_seconds=30)
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot, due_in_seconds=1)
    run = asyncio.create_task(sender.run(20))
    await until(lambda: _is(sender, post, "claimed"))
    async with no_logins(postgres.conninfo(database.database)):
        await until(lambda: _said(caplog, "given back"))
    await until(lambda: _is(sender, post, "published"))
    assert not run.done()
    run.cancel()
    assert len(sender.ledger()) == 1


async def test_a_run_that_is_ended_leaves_its_claims_to_the_next_at_once(sender: Sender) -> None:
    sender.with_settings("posting", ahead_seconds=30, lease_seconds=60)
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot, due_in_seconds=20)
    run = asyncio.create_task(sender.run(60))
    await until(lambda: _is(sender, post, "claimed"))
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    assert await _is(sender, post, "scheduled")


@pytest.mark.promise("P1")
async def test_what_never_leaves_is_tried_until_its_policy_ends_it_and_counts_no_attempt(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    sender.with_settings("posting", start_within_seconds=-1, late_seconds=30)
    [hasty] = await sender.schedule(bot, misfire="skip")
    run = asyncio.create_task(sender.run(30))
    tries = "SELECT count(*) FROM publish_attempts WHERE ended = 'not_sent' AND post_id = :post"
    await until(lambda: _number_is_over(sender, FAST.attempts_max, tries, post=hasty))
    await sender.let_pass(timedelta(seconds=40))
    await until(lambda: _is(sender, hasty, "expired"))
    [patient] = await sender.schedule(bot)
    await until(lambda: _number_is_over(sender, FAST.attempts_max, tries, post=patient))
    sender.with_settings("posting", start_within_seconds=2)
    await until(lambda: _is(sender, patient, "published"))
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    assert (await sender.post(patient)).attempts == 1
    assert len(sender.ledger()) == 1


async def _number_is_over(sender: Sender, limit: int, statement: str, **given: object) -> bool:
    async with sender.at.transaction() as session:
        return int((await session.execute(text(statement), given)).scalar_one()) > limit


async def _is(sender: Sender, post: UUID, status: str) -> bool:
    return (await sender.post(post)).status == status


async def _said(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return words in caplog.text


async def test_tokens_are_read_once_for_many_posts(sender: Sender) -> None:
    bots = await sender.with_bots(3)
    for bot in bots:
        await sender.schedule(bot, 10)
    await sender.run(0.5)
    assert sender.kv.reads == 3


async def test_a_verdict_of_an_older_policy_is_made_anew(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    await sender.sql("UPDATE verdicts SET policy_version = 'older'")
    await sender.run(0.4)
    assert (await sender.post(post)).status == "published"


@pytest.mark.promise("P6")
async def test_what_the_gate_refuses_meanwhile_does_not_go_out(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot, judged=False)
    await sender.sql("UPDATE bots SET bio_names_operator = false")
    await sender.run(0.4)
    row = await sender.post(post)
    assert row.status == "refused"
    assert row.reason is not None
    assert "account-undisclosed" in row.reason
    assert sender.ledger() == []


@pytest.mark.promise("P1")
async def test_two_windows_at_once_share_the_work(sender: Sender) -> None:
    bots = await sender.with_bots(4)
    for bot in bots:
        await sender.schedule(bot, 20)
    one, other = await asyncio.gather(sender.run(0.8), sender.run(0.8))
    assert len(one) + len(other) == 80
    assert len(sender.ledger()) == 80


@pytest.mark.promise("P1")
async def test_a_killed_database_connection_at_the_outcome_loses_no_answer(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    [post] = await sender.schedule(bot)
    sender.x.settings(latency_ms=400)
    run = asyncio.create_task(sender.run(1))
    await sender.accepted()
    await sender.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database() AND usename = current_user"
    )
    await run
    assert (await sender.post(post)).status == "published"


class BrokenX:
    """An adapter with a defect."""

    async def create_post(self, *given: object, **named: object) -> None:
        """Fails as no adapter should."""
        raise ZeroDivisionError


async def test_a_defect_of_ours_ends_the_run_loudly_and_nothing_waits_for_ever(sender: Sender) -> None:
    [bot] = await sender.with_bots(1)
    await sender.schedule(bot, 3)
    sender.at.x = BrokenX()  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(10):
            await sender.run(5)


async def test_a_run_holds_no_more_than_it_may(sender: Sender) -> None:
    bots = await sender.with_bots(2)
    for bot in bots:
        await sender.schedule(bot, 30, due_in_seconds=1)
    sender.at.places = Places(Settings(posting=FAST.model_copy(update={"held": 10, "batch": 10})))
    run = asyncio.create_task(sender.run(0.6))
    async with sender.at.transaction() as session:
        await asyncio.wait_for(_claims(session), 5)
    await run
    assert len(sender.ledger()) == 10


async def _claims(session: AsyncSession) -> None:
    while (await session.execute(text("SELECT count(*) FROM posts WHERE status = 'claimed'"))).scalar_one() < 10:
        await asyncio.sleep(0.02)
