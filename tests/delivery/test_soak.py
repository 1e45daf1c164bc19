"""Ten thousand posts over two apps and two hundred bots, while senders are killed and answers are lost."""

import asyncio
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from signal import SIGCONT, SIGSTOP
from uuid import UUID

import pytest
from sqlalchemy import insert, text

from tasks.operations import delivery
from tasks.store.x_apps import x_apps
from tests.delivery.conftest import Sender
from tests.delivery.sender_process import POINTS

BOTS, SENDERS = 200, 3
POSTS_A_SECOND = 60
# After the last post fell due: for what is in doubt, and for what was late and waits for its turn.
SETTLING_SECONDS = 240.0
FAULTS = (
    {"fault": "drop", "when": "after"},
    {"fault": "reset", "when": "after"},
    {"fault": "cut", "when": "after"},
    {"fault": "error", "when": "after"},
    {"fault": "error", "when": "before"},
    {"fault": "drop", "when": "before"},
)


@dataclass
class Havoc:
    """Breaks senders and answers by chance, and keeps count."""

    sender: Sender
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    at_work: list[BaseProcess] = field(default_factory=list)

    def start(self) -> None:
        """One more sender; every third dies at a point of its own."""
        dies = self.chance.choice(POINTS) if self.chance.random() < 1 / 3 else None
        self.at_work.append(self.sender.process(600, dies))

    async def go_on(self) -> None:
        """Until cancelled: kill, freeze, and let others take their place."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.3, 1.5))
            for process in [one for one in self.at_work if not one.is_alive()]:
                self.done["died at a point"] += 1
                self.at_work.remove(process)
            while len(self.at_work) < SENDERS:
                self.start()
            victim = self.chance.choice(self.at_work)
            assert victim.pid is not None
            match self.chance.choice(("kill", "kill", "freeze", "connections")):
                case "kill":
                    victim.kill()
                    victim.join()
                    self.at_work.remove(victim)
                    self.done["killed"] += 1
                case "freeze":
                    os.kill(victim.pid, SIGSTOP)
                    await asyncio.sleep(self.chance.uniform(0.5, 4))
                    os.kill(victim.pid, SIGCONT)
                    self.done["frozen"] += 1
                case "connections":
                    await self.sender.sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sender'"
                        " AND datname = current_database()"
                    )
                    self.done["database connections cut"] += 1

    def end(self) -> None:
        """Nothing is left at work."""
        for process in self.at_work:
            process.kill()
            process.join()


async def until_ended(sender: Sender, seconds: float) -> None:
    """As the clerk and the reconciling runs do, until every post has ended."""

    async def sweep() -> None:
        while True:
            await delivery.sweep(sender.at)
            await asyncio.sleep(1)

    async def reconcile() -> None:
        while True:
            await sender.reconcile(5)
            await asyncio.sleep(0.5)

    working = [asyncio.create_task(sweep()), asyncio.create_task(reconcile())]
    try:
        async with asyncio.timeout(seconds):
            while await _open(sender):
                for one in working:
                    if one.done():
                        one.result()
                await asyncio.sleep(1)
    finally:
        for one in working:
            one.cancel()
        await asyncio.gather(*working, return_exceptions=True)


async def _open(sender: Sender) -> int:
    async with sender.at.transaction() as session:
        found = await session.execute(
            text("SELECT count(*) FROM posts WHERE status IN ('scheduled', 'claimed', 'sending', 'unknown')")
        )
        return int(found.scalar_one())


async def two_apps(sender: Sender) -> None:
    """Half of the bots speak by one app and half by another, each with a use case of its own."""
    async with sender.at.transaction() as session:
        rows = [
            {
                "name": name,
                "use_case": use_case,
                "stage": "production",
                "client_id": name,
                "redirect_uri": "http://127.0.0.1/callback",
            }
            for name, use_case in (("weather", "City weather"), ("transit", "Transit notices"))
        ]
        apps = [row.id for row in await session.execute(insert(x_apps).returning(x_apps.c.id), rows)]
    for number, app in enumerate(apps):
        half = [bot for place, bot in enumerate(sender.bots) if place % 2 == number]
        await sender.sql("UPDATE bots SET x_app_id = :app WHERE id = ANY(:half)", app=app, half=half)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.promise("P1")
@pytest.mark.parametrize("refusal", [False, True], ids=["duplicates taken", "duplicates refused"])
async def test_ten_thousand_posts_go_out_once_each_whatever_breaks(
    sender: Sender, refusal: bool, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, seed = pytestconfig.getoption("--posts"), pytestconfig.getoption("--seed")
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    with capsys.disabled():
        how = "refused" if refusal else "taken"
        print(f"\nsoak: {wanted} posts, {BOTS} bots, two apps, duplicates {how}, seed {seed}")
    chance = random.Random(seed)  # noqa: S311  # it breaks things, and must break them the same way again
    sender.with_settings("posting", catch_up_gap_seconds=1.0, batch=100)
    sender.x.settings(duplicate_refusal=refusal, visibility_lag_seconds=[0, 2], latency_ms=[0, 80])
    await sender.with_bots(BOTS)
    await two_apps(sender)
    posts: list[UUID] = []
    for number, bot in enumerate(sender.bots):
        share = wanted // BOTS + (number < wanted % BOTS)
        posts += await sender.schedule(bot, share)
    seconds = wanted / POSTS_A_SECOND
    await sender.sql(
        "UPDATE posts SET due_at = due.at, planned_at = due.at, next_at = due.at FROM (SELECT id,"
        " app_now() + interval '2 seconds' + make_interval(secs => :seconds * random()) AS at FROM posts) AS due"
        " WHERE posts.id = due.id",
        seconds=seconds,
    )
    for fault in FAULTS:
        sender.x.fault(**fault, endpoint="POST /2/tweets", probability=0.01)
    havoc = Havoc(sender, chance)
    breaking = asyncio.create_task(havoc.go_on())
    try:
        await until_ended(sender, seconds + SETTLING_SECONDS)
    finally:
        breaking.cancel()
        await asyncio.gather(breaking, return_exceptions=True)
        havoc.end()
        sender.x.heal()
    await _judge(sender, posts, havoc, capsys)


async def _judge(sender: Sender, posts: list[UUID], havoc: Havoc, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = sender.ledger()
    async with sender.at.transaction() as session:
        rows = list(await session.execute(text("SELECT id, status, x_post_id FROM posts")))
        attempts = {
            row.id.hex: row
            for row in await session.execute(text("SELECT id, post_id, ended, settled_by FROM publish_attempts"))
        }
    of_post = Counter(attempts[entry["traceparent"].split("-")[1]].post_id for entry in ledger)
    known = {entry["x_post_id"] for entry in ledger}
    lost = [row.id for row in rows if row.status == "published" and row.x_post_id not in known]
    unsaid = [row.id for row in rows if row.status != "published" and of_post[row.id]]
    doubles = [post for post, times in of_post.items() if times > 1]
    statuses = Counter(row.status for row in rows)
    with capsys.disabled():
        print(f"  broken: {dict(havoc.done)}")
        ended = Counter(f"{row.ended} by {row.settled_by}" for row in attempts.values())
        print(f"  posts: {dict(statuses)}; attempts: {dict(ended)}")
        print(f"  X has {len(ledger)}; lost {len(lost) + len(unsaid)}, double {len(doubles)}, held {statuses['held']}")
    assert len(rows) == len(posts)
    assert (lost, unsaid, doubles, statuses["held"]) == ([], [], [], 0)
    assert set(statuses) <= {"published", "expired"}
