"""One sender at work, in this process: real Postgres, real sandbox; the vault is a fake that holds tokens."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from blocks.postgres.engine import Login, Server
from blocks.vault.errors import Missing, VaultError
from blocks.vault.kv import Secret
from blocks.x.client import XClient
from config.places import Places
from config.settings import Media, Posting, Reconciliation, Settings, X
from tasks.connections import Connections
from tasks.domain.credentials import access_path
from tasks.operations import delivery, reconciliation
from tasks.operations.delivery import Published
from tasks.operations.outbox import Sent
from tasks.operations.reconciliation import Reviewed
from tasks.store import posts
from tasks.store.posts import PostRow
from tests.delivery.sender_process import Point, Start, start
from tests.makers import stored_bots, stored_posts
from tests.postgres_process import PostgresProcess
from tests.x_sandbox_process import XSandboxProcess

# Waits of the profile `fast`: the same promises, on a clock a test can wait for.
FAST = Posting(
    window_seconds=6,
    lease_seconds=1,
    beat_seconds=0.25,
    poll_seconds=0.05,
    retry_seconds=0.1,
    probe_seconds=0.1,
    give_up_seconds=2,
    lanes=20,
)
FAST_MEDIA = Media(look_seconds=0.1, retry_seconds=0.3, processing_seconds=10)
FAST_X = X(settle_seconds=1, visible_seconds=2)
FAST_LOOKS = Reconciliation(apart_seconds=0.3, gap_most_seconds=1)


class FakeKv:
    """The KV engine as posting sees it: secrets by path, or an error for all of them."""

    def __init__(self) -> None:
        self.secrets: dict[str, Mapping[str, str]] = {}
        self.reads = 0
        self.away: VaultError | None = None

    def read_many(self, paths: Sequence[str]) -> dict[str, Secret | VaultError]:
        """As Kv.read_many."""
        self.reads += len(paths)
        return {path: self._one(path) for path in paths}

    def _one(self, path: str) -> Secret | VaultError:
        if self.away:
            return self.away
        if path not in self.secrets:
            return Missing(path)
        return Secret(self.secrets[path], 1, datetime.now(UTC))


@dataclass
class Sender:
    """What a test says to a sender, and asks of it."""

    at: Connections
    x: XSandboxProcess
    kv: FakeKv
    ledger_from: int = 0
    password: str = field(default="", repr=False)
    bots: list[UUID] = field(default_factory=list)
    owner: str = ""

    async def let_pass(self, time: timedelta) -> None:
        """Put the product's clock forward; X's own and the machine's stay."""
        async with await psycopg.AsyncConnection.connect(self.owner) as connection:
            await connection.execute("UPDATE app_clock SET app_anchor = app_anchor + %s", [time])

    def ledger(self) -> list[dict[str, Any]]:
        """What X accepted since this test began."""
        return self.x.ledger("create", after=self.ledger_from)

    async def accepted(self, count: int = 1) -> None:
        """Wait until X has accepted `count` posts."""
        async with asyncio.timeout(10):
            while len(self.ledger()) < count:
                await asyncio.sleep(0.02)

    async def with_bots(self, count: int, token_hours: int = 2, **given: object) -> list[UUID]:
        """Active bots with an account on the sandbox and a token in the vault."""
        async with self.at.transaction() as session:
            self.bots = await stored_bots(session, count, **given)
        tokens = self.x.tokens(*(f"bot_{number}" for number in range(count)))
        expires_at = (datetime.now(UTC) + timedelta(hours=token_hours)).isoformat()
        for bot_id, token in zip(self.bots, tokens, strict=True):
            self.kv.secrets[access_path(bot_id)] = {"access_token": token["access_token"], "expires_at": expires_at}
            await self.sql(
                "UPDATE bots SET x_user_id = :account WHERE id = :bot", account=token["account_id"], bot=bot_id
            )
        return self.bots

    async def schedule(self, bot_id: UUID, count: int = 1, due_in_seconds: float = 0, **given: object) -> list[UUID]:
        """Scheduled posts that the gate has let pass."""
        async with self.at.transaction() as session:
            return await stored_posts(session, bot_id, count, due_in_seconds, **given)

    async def run(self, seconds: float) -> list[Sent]:
        """Serve one window."""
        async with delivery.open_window(self.at, seconds) as window:
            async for claim in window:
                window.sending(delivery.publish(self.at, claim))
            results: list[Published] = window.results
        return [sent for published in results for sent in published.sent]

    async def reconcile(self, seconds: float = 10) -> list[Reviewed]:
        """Look again and again until nothing is in doubt."""
        return [one async for found in reconciliation.reconcile(self.at, seconds) for one in found]

    def process(self, seconds: float = 30, dies: Point | None = None, by: Signals = SIGKILL) -> BaseProcess:
        """Another sender, in a process of its own; at the point where it `dies` it sends itself that signal, once."""
        return start(
            Start(
                self.at.places.settings,
                self.at.server,
                self.password,
                self.x.url,
                {path: dict(secret) for path, secret in self.kv.secrets.items()},
                seconds,
                dies,
                by,
            )
        )

    def with_settings(self, section: str, **changed: object) -> None:
        """From now on with other settings in one section."""
        settings = self.at.places.settings
        changed_section = getattr(settings, section).model_copy(update=changed)
        self.at.places = Places(settings.model_copy(update={section: changed_section}))

    async def post(self, post_id: UUID) -> PostRow:
        """How a post stands."""
        async with self.at.transaction() as session:
            row = await posts.get(session, post_id)
        assert row is not None
        return row

    async def sql(self, statement: str, **given: object) -> None:
        """Change something behind the sender's back."""
        async with self.at.transaction() as session:
            await session.execute(text(statement), given)


@pytest.fixture(scope="session")
def x_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    """One sandbox a session."""
    folder: Path = tmp_path_factory.mktemp("x")
    with XSandboxProcess(folder) as sandbox:
        yield sandbox


@pytest.fixture
async def sender(
    engine: AsyncEngine, database: Server, postgres: PostgresProcess, x_process: XSandboxProcess
) -> AsyncIterator[Sender]:
    """A sender on a fresh database and an empty sandbox."""
    x_process.reset()
    kv = FakeKv()

    async def login() -> Login:
        return Login("vivesphere_app", postgres.password)

    settings = Settings(
        posting=FAST,
        media=FAST_MEDIA,
        x=FAST_X.model_copy(update={"base_url": x_process.url}),
        reconciliation=FAST_LOOKS,
    )
    client = XClient(x_process.url, lanes=FAST.lanes, connect_timeout_seconds=1, deadline_seconds=1.5)
    seen = x_process.control.get("/health").json()["last_seq"]
    async with client as x:
        at = Connections(Places(settings), database, login, engine, kv, x, None, None)  # type: ignore[arg-type]
        yield Sender(
            at,
            x_process,
            kv,
            seen,
            owner=postgres.conninfo(database.database, "vivesphere_owner"),
            password=postgres.password,
        )
