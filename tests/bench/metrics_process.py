"""A process that collects metrics once, as a run of the flow does, and prints the most memory it had, in megabytes."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from blocks.postgres.engine import Login, Server, open_engine
from blocks.vault.kv import Secret
from blocks.x.client import XClient
from config.places import Places
from config.settings import Settings, X
from tasks.connections import Connections
from tasks.operations import account_metrics, metric_plan, post_metrics, rollups

LONG_FROM_NOW = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Given:
    """Where the database and X are, and the token of each bot."""

    host: str
    port: int
    database: str
    password: str
    x_url: str
    bots: list[str]
    tokens: dict[str, str]

    def as_json(self) -> str:
        """For stdin."""
        return json.dumps(asdict(self))


class _Kv:
    """The vault: tokens as they were handed in, which count with what is measured."""

    def __init__(self, given: Given) -> None:
        self._tokens = given.tokens

    def read_many(self, paths: list[str]) -> dict[str, Secret]:
        """As Kv.read_many."""
        return {path: self._one(path.split("/")[1]) for path in paths}

    def _one(self, bot_id: str) -> Secret:
        data = {"access_token": self._tokens[bot_id], "expires_at": LONG_FROM_NOW.isoformat()}
        return Secret(data, 1, datetime.now(UTC))


@asynccontextmanager
async def connections(given: Given) -> AsyncIterator[Connections]:
    """As a run opens them, but for the vault."""

    async def login() -> Login:
        return Login("vivesphere_app", given.password)

    server = Server(given.host, given.port, given.database, tls="disable")
    places = Places(Settings(x=X(base_url=given.x_url)))
    engine = open_engine(server, login, application="bench", pool_size=places.settings.postgres.pool_size)
    client = XClient(given.x_url, lanes=places.settings.metrics.readers, connect_timeout_seconds=3, deadline_seconds=30)
    async with client as x:
        try:
            yield Connections(places, server, login, engine, _Kv(given), x, None, None)  # type: ignore[arg-type]
        finally:
            await engine.dispose()


async def _main(given: Given) -> None:
    async with connections(given) as at:
        await metric_plan.prepare(at)
        await account_metrics.collect(at)
        done = await post_metrics.collect(at)
        await rollups.roll_up(at)
    assert not done.waiting, done


if __name__ == "__main__":
    asyncio.run(_main(Given(**json.load(sys.stdin))))
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    print(int(kilobytes) / 1024)
