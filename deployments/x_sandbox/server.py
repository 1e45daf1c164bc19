"""One X on one port, with its state in one folder."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from deployments.x_sandbox.app import Application
from deployments.x_sandbox.connection import ClockedProtocol
from deployments.x_sandbox.consent import consent_routes
from deployments.x_sandbox.control import control_routes
from deployments.x_sandbox.front_routes import front_routes
from deployments.x_sandbox.state import Sandbox, secret_file

KEEP_ALIVE_SECONDS = 120
SHUTDOWN_SECONDS = 1
BACKLOG = 4_096
TICKS_PER_SECOND = 10


@dataclass(frozen=True, slots=True)
class Options:
    """Where a sandbox listens and where it keeps what it knows; port 0 takes a free one."""

    host: str
    port: int
    folder: Path
    control_token_file: Path
    fresh: bool


class Server(uvicorn.Server):
    """Uvicorn that says where it serves once it does, and whose end by a signal is a success."""

    def __init__(self, config: uvicorn.Config, sandbox: Sandbox, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._sandbox = sandbox
        self._announce = announce

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Bind, then give out the address."""
        await super().startup(None)
        if not self.should_exit:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._announce(f"http://{host}:{port}")

    async def on_tick(self, counter: int) -> bool:
        """Let the Date header show the sandbox's time, for some clients set their own clocks by it."""
        over = await super().on_tick(counter)
        if counter % TICKS_PER_SECOND == 0:
            date = formatdate(self._sandbox.clock.now(), usegmt=True).encode()
            self.server_state.default_headers = [(b"date", date)]
        return over

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM or SIGINT without raising it again afterwards, as uvicorn would."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self.handle_exit, each, None)
        yield


def serve(options: Options, announce: Callable[[str], None]) -> None:
    """Serve until a signal comes. Raises LedgerBusy if another sandbox has the folder."""
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options.control_token_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sandbox = Sandbox(options.folder, options.fresh)
    control_token = secret_file(options.control_token_file)
    pages = Starlette(
        routes=[*control_routes(sandbox, control_token), *consent_routes(sandbox), *front_routes(sandbox)]
    )
    config = uvicorn.Config(
        Application(sandbox, pages),
        host=options.host,
        port=options.port,
        http=ClockedProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    try:
        Server(config, sandbox, announce).run()
    finally:
        sandbox.ledger.close()
