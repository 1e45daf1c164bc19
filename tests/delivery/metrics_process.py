"""A run of metrics in a process of its own, to be killed; forked from a server that has everything imported."""

import asyncio
import multiprocessing
import signal
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

from blocks.postgres.engine import Login, Server, open_engine
from blocks.x.client import XClient
from config.places import Places
from config.settings import Settings
from tasks.connections import Connections
from tasks.operations import account_metrics, metric_plan, post_metrics, rollups

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.delivery.metrics_process"])


@dataclass(frozen=True)
class Run:
    """What a run is told; `secrets` are access tokens by their path in the vault."""

    settings: Settings
    server: Server
    password: str
    x_url: str
    secrets: dict[str, dict[str, str]]


def start(run: Run) -> BaseProcess:
    """A run at work."""
    process = _context.Process(target=_main, args=(run,), daemon=True)
    process.start()
    return process


def _main(run: Run) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_collect(run))


async def _collect(run: Run) -> None:
    from tests.delivery.conftest import FakeKv

    async def login() -> Login:
        return Login("vivesphere_app", run.password)

    kv = FakeKv()
    kv.secrets.update(run.secrets)
    engine = open_engine(run.server, login, application="metrics", pool_size=4)
    async with XClient(run.x_url, lanes=4, connect_timeout_seconds=1, deadline_seconds=10) as x:
        at = Connections(Places(run.settings), run.server, login, engine, kv, x, None, None)  # type: ignore[arg-type]
        await metric_plan.prepare(at)
        await account_metrics.collect(at)
        await post_metrics.collect(at)
        await rollups.roll_up(at)
        await engine.dispose()
