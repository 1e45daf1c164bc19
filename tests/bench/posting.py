"""Posting: the whole path of a real stack against scripts that only send."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from blocks.vault.client import Vault
from blocks.vault.kv import Kv
from config import loading
from config.places import Places
from deployments.local import environment, prefect_api, programs, registration, stack
from tasks.connections import Connections, open_connections
from tasks.domain.credentials import access_path
from tasks.domain.policy.gate import Verdict
from tasks.store import base, posts, verdicts
from tests.bench import limits
from tests.bench.figure import Figure
from tests.makers import a_draft, stored_bots

BOTS = 1000
IN_FLIGHT = 50
LATENCY_MS = 50
PAIRS = 5
# Long enough for every claim and every token to be there at the instant.
AHEAD_SECONDS = 8
UNLIMITED = {"user_15_minutes": None, "user_24_hours": None, "app_24_hours": None}


def posting_1000_bots() -> list[Figure]:
    """1,000 bots with a post each, due at one instant: from the instant to the last outcome written."""
    with _stack() as places:
        return asyncio.run(_measure(places))


@contextmanager
def _stack() -> Iterator[Places]:
    with tempfile.TemporaryDirectory(prefix="vivesphere-bench-") as home:
        os.environ["VIVESPHERE_HOME"] = home
        os.environ["VIVESPHERE_POSTING__LANES"] = str(IN_FLIGHT)
        # A run that has served its window goes on until a successor is there: with the schedule off it is the one.
        os.environ["VIVESPHERE_POSTING__WINDOW_SECONDS"] = "5"
        loading.load.cache_clear()
        try:
            places = stack.up()
            _stop_schedule(places)
            yield places
        finally:
            stack.down()


def _stop_schedule(places: Places) -> None:
    flow, _, name = registration.FIRST_RUN.partition("/")
    with prefect_api.client(places) as api:
        found = api.get(f"/deployments/name/{flow}/{name}").raise_for_status().json()
        api.patch(f"/deployments/{found['id']}", json={"paused": True}).raise_for_status()


@dataclass
class _Fleet:
    bots: list[UUID]
    tokens: list[str]


async def _measure(places: Places) -> list[Figure]:
    async with open_connections("keys", places) as at:
        fleet = await _settle(at)
        await _one_sender(at)
        await _round(at, fleet)  # the first reads every token and opens every lane: a warm run has done that
        ours, bare, plain, tuned = [], [], [], []
        for _ in range(PAIRS):
            bare.append(await limits.bare_aiohttp(places.x, fleet.tokens, IN_FLIGHT))
            ours.append(await _round(at, fleet))
            plain.append(await limits.bare_httpx(places.x, fleet.tokens, IN_FLIGHT, None))
            tuned.append(await limits.bare_httpx(places.x, fleet.tokens, IN_FLIGHT, IN_FLIGHT))
        tenth = await asyncio.to_thread(limits.requests_loop, places.x, fleet.tokens[: BOTS // 10])
        tasks = await asyncio.to_thread(_task_per_bot, places, fleet)
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    return [
        Figure(
            "posting_1000_bots",
            median(ours),
            median(bare),
            "s",
            "ratio <= 1.5",
            {
                "httpx, default limits": median(plain),
                "httpx, keep-alive tuned": median(tuned),
                "requests loop (a tenth, times ten)": tenth * 10,
                "Prefect, one task a bot": tasks,
            },
            f"{BOTS:,} posts due at one instant, {LATENCY_MS} ms at X, {IN_FLIGHT} in flight; {PAIRS} pairs, ratios "
            + ", ".join(f"{ratio:.2f}" for ratio in ratios)
            + ". Ours includes mark, latch and outcome in Postgres; the bare scripts only send.",
        )
    ]


def _task_per_bot(places: Places, fleet: "_Fleet") -> float:
    given = {"url": places.x, "tokens": fleet.tokens, "most": IN_FLIGHT}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.task_per_bot"],
        env={**environment.own(places), **environment.prefect_client(places, places.home / "prefect" / "bench")},
        cwd=loading.APP_ROOT,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.strip().splitlines()[-1])


async def _settle(at: Connections) -> _Fleet:
    """1,000 bots: rows in Postgres, accounts on X, tokens in the vault."""
    places = at.places
    control = programs.sandbox_token_file(places).read_text(encoding="utf-8").strip()
    headers = {"Authorization": f"Bearer {control}"}
    handles = [f"bot_{number}" for number in range(BOTS)]
    async with httpx.AsyncClient(
        base_url=f"{places.x}/sandbox", headers=headers, timeout=60, trust_env=False
    ) as sandbox:

        async def ask(path: str, body: Any) -> Any:
            return (await sandbox.post(path, json=body)).raise_for_status().json()

        await ask(
            "/settings",
            {"latency_ms": LATENCY_MS, "duplicate_refusal": False, "limits": {"POST /2/tweets": UNLIMITED}},
        )
        app = await ask("/apps", {"name": "bench", "redirect_uris": ["http://127.0.0.1/"], "confidential": True})
        await ask("/accounts", [{"username": handle} for handle in handles])
        minted = await ask("/tokens", {"client_id": app["client_id"], "accounts": handles})
    async with at.transaction() as session:
        bots = await stored_bots(session, BOTS)
    tokens = [str(token["access_token"]) for token in minted]
    await asyncio.to_thread(_keep_tokens, places, bots, tokens)
    return _Fleet(bots, tokens)


def _keep_tokens(places: Places, bots: list[UUID], tokens: list[str]) -> None:
    kv = Kv(Vault.for_role(places, "keys"), places.settings.vault.kv_mount, readers=8)
    expires_at = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    with ThreadPoolExecutor(8) as threads:
        list(
            threads.map(
                lambda pair: kv.write(access_path(pair[0]), {"access_token": pair[1], "expires_at": expires_at}, None),
                zip(bots, tokens, strict=True),
            )
        )


async def _one_sender(at: Connections) -> None:
    """Wait until one run is left: each gives way to the next, and the schedule makes no more."""
    alive = "SELECT count(*) FROM senders WHERE closed_at IS NULL AND died_at IS NULL"
    many = "SELECT count(*) FROM senders WHERE started_at > app_now() - interval '15 seconds'"
    async with asyncio.timeout(120):
        while await _number(at, alive) != 1 or await _number(at, many):
            await asyncio.sleep(0.5)


async def _round(at: Connections, fleet: _Fleet) -> float:
    """Seconds from the planned instant of all posts to the last outcome."""
    async with at.transaction() as session:
        due_at = await base.now(session) + timedelta(seconds=AHEAD_SECONDS)
        ids = await posts.new_ids(session, BOTS)
        drafts = {post_id: (a_draft(due_at=due_at), bot) for post_id, bot in zip(ids, fleet.bots, strict=True)}
        await posts.add(session, drafts, source="api", created_by="bench")
        await verdicts.add(session, {(post_id, 1): Verdict(()) for post_id in ids})
    async with asyncio.timeout(60):
        open_now = "SELECT count(*) FROM posts WHERE due_at = :due_at AND status <> 'published'"
        while await _number(at, open_now, due_at=due_at):
            await asyncio.sleep(0.25)
    return await _number(
        at,
        "SELECT extract(epoch FROM max(ended_at) - :due_at) FROM publish_attempts"
        " WHERE post_id IN (SELECT id FROM posts WHERE due_at = :due_at)",
        due_at=due_at,
    )


async def _number(at: Connections, statement: str, **given: Any) -> float:
    async with at.transaction() as session:
        return float((await session.execute(text(statement), given)).scalar_one())
