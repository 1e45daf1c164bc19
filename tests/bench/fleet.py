"""A whole stack under measurement: its bots, their tokens, and how its database answers."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from blocks.vault.client import Vault
from blocks.vault.kv import Kv
from config import loading
from config.places import Places
from deployments.local import prefect_api, programs, registration, stack
from tasks.connections import Connections
from tasks.domain.credentials import access_path
from tasks.domain.policy.gate import Verdict
from tasks.store import base, posts, verdicts, x_apps
from tests.makers import POLICY_VERSION, a_draft, stored_bots

# What X takes of an app in a day is 10,000 posts, and a bench sends several for each bot.
BOTS_OF_AN_APP = 5000
BUDGET_USD = Decimal(100_000)
UNLIMITED = {"user_15_minutes": None, "user_24_hours": None, "app_24_hours": None}


@contextmanager
def running_stack(**settings: object) -> Iterator[Places]:
    """A stack of its own, whose schedule is off: `settings` are names and values of ours, such as POSTING__LANES."""
    with tempfile.TemporaryDirectory(prefix="vivesphere-bench-") as home:
        os.environ["VIVESPHERE_HOME"] = home
        for name, value in settings.items():
            os.environ[f"VIVESPHERE_{name}"] = str(value)
        loading.load.cache_clear()
        try:
            places = stack.up()
            _stop_schedule(places)
            yield places
        finally:
            stack.down()
            for name in settings:
                del os.environ[f"VIVESPHERE_{name}"]


def _stop_schedule(places: Places) -> None:
    with prefect_api.client(places) as api:
        found = api.get(f"/deployments/name/{registration.POSTING}").raise_for_status().json()
        api.patch(f"/deployments/{found['id']}", json={"paused": True}).raise_for_status()


@dataclass
class Fleet:
    """Bots with an account on X, and the token of each."""

    bots: list[UUID]
    tokens: list[str]


async def settle(at: Connections, count: int, latency_ms: int) -> Fleet:
    """That many bots: rows in Postgres, accounts on X, tokens in the vault, apps that have windows and a budget."""
    places = at.places
    control = programs.sandbox_token_file(places).read_text(encoding="utf-8").strip()
    headers = {"Authorization": f"Bearer {control}"}
    handles = [f"bot_{number}" for number in range(count)]
    async with httpx.AsyncClient(
        base_url=f"{places.x}/sandbox", headers=headers, timeout=60, trust_env=False
    ) as sandbox:

        async def ask(path: str, body: Any) -> Any:
            return (await sandbox.post(path, json=body)).raise_for_status().json()

        await ask(
            "/settings",
            {"latency_ms": latency_ms, "duplicate_refusal": False, "limits": {"POST /2/tweets": UNLIMITED}},
        )
        app = await ask("/apps", {"name": "bench", "redirect_uris": ["http://127.0.0.1/"], "confidential": True})
        await ask("/accounts", [{"username": handle} for handle in handles])
        minted = await ask("/tokens", {"client_id": app["client_id"], "accounts": handles})
    async with at.transaction() as session:
        bots = await stored_bots(session, count)
        for first in range(0, count, BOTS_OF_AN_APP):
            await _join_app(session, str(app["client_id"]), bots[first : first + BOTS_OF_AN_APP])
    tokens = [str(token["access_token"]) for token in minted]
    await asyncio.to_thread(_keep_tokens, places, bots, tokens)
    return Fleet(bots, tokens)


async def _join_app(session: AsyncSession, client_id: str, bots: list[UUID]) -> None:
    name = f"bench-{bots[0].hex}"
    app_id = await x_apps.put(
        session, name=name, use_case=name, stage="production", client_id=client_id, redirect_uri="http://127.0.0.1/"
    )
    await x_apps.set_budget(session, name, BUDGET_USD)
    await session.execute(
        text("UPDATE bots SET x_app_id = :app_id WHERE id = ANY(:bots)"), {"app_id": app_id, "bots": bots}
    )


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


async def one_sender(at: Connections) -> None:
    """Wait until one run is left: each gives way to the next, and the schedule makes no more."""
    alive = "SELECT count(*) FROM senders WHERE closed_at IS NULL AND died_at IS NULL"
    many = "SELECT count(*) FROM senders WHERE started_at > app_now() - interval '15 seconds'"
    async with asyncio.timeout(120):
        while await number(at, alive) != 1 or await number(at, many):
            await asyncio.sleep(0.5)


async def schedule(at: Connections, bots: list[UUID], instants: list[datetime]) -> list[UUID]:
    """A post at each instant, by turns of the bots, let pass by the gate."""
    async with at.transaction() as session:
        ids = await posts.new_ids(session, len(instants))
        drafts = {
            post_id: (a_draft(due_at=due_at), bots[place % len(bots)])
            for place, (post_id, due_at) in enumerate(zip(ids, instants, strict=True))
        }
        await posts.add(session, drafts, source="api", created_by="bench")
        await verdicts.add(session, {(post_id, 1): Verdict((), POLICY_VERSION) for post_id in ids})
    return list(ids)


async def seconds_until_published(at: Connections, due_at: datetime, within_seconds: float = 60) -> float:
    """Seconds from the instant at which posts are due to the last of their outcomes."""
    async with asyncio.timeout((due_at - await now(at)).total_seconds() + within_seconds):
        open_now = "SELECT count(*) FROM posts WHERE due_at = :due_at AND status <> 'published'"
        while await number(at, open_now, due_at=due_at):
            await asyncio.sleep(0.25)
    return await number(
        at,
        "SELECT extract(epoch FROM max(ended_at) - :due_at) FROM publish_attempts"
        " WHERE post_id IN (SELECT id FROM posts WHERE due_at = :due_at)",
        due_at=due_at,
    )


def load() -> str:
    """How busy the machine is, in words for the note of a figure; our own share is in it."""
    return f"Load of the machine over the last five minutes: {os.getloadavg()[1]:.1f}."


async def now(at: Connections) -> datetime:
    """The database's clock."""
    async with at.transaction() as session:
        return await base.now(session)


async def number(at: Connections, statement: str, **given: Any) -> float:
    """The one number that a statement answers with."""
    async with at.transaction() as session:
        return float((await session.execute(text(statement), given)).scalar_one())
