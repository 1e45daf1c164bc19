"""`python -m deployments.x_sandbox`: one X on one port, with its state in one folder."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from deployments.x_sandbox.app import Application
from deployments.x_sandbox.connection import ClockedProtocol
from deployments.x_sandbox.consent import consent_routes
from deployments.x_sandbox.control import control_routes
from deployments.x_sandbox.ledger import LedgerBusy
from deployments.x_sandbox.pages import page_routes
from deployments.x_sandbox.state import Sandbox, secret_file

KEEP_ALIVE_SECONDS = 120
SHUTDOWN_SECONDS = 1
BACKLOG = 4_096
TICKS_PER_SECOND = 10


class Server(uvicorn.Server):
    """Uvicorn that says where it serves once it does, and whose end by a signal is a success."""

    def __init__(self, config: uvicorn.Config, sandbox: Sandbox) -> None:
        super().__init__(config)
        self._sandbox = sandbox

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Bind, then print the address as the only line on standard output."""
        await super().startup(None)
        if not self.should_exit:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(f"http://{host}:{port}", flush=True)

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


def main() -> int:
    """Serve until a signal comes; 1 if the folder or the port belongs to somebody else."""
    options = _options()
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options.control_token_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        sandbox = Sandbox(options.folder, options.fresh)
    except LedgerBusy as busy:
        print(busy, file=sys.stderr)
        return 1
    control_token = secret_file(options.control_token_file)
    pages = Starlette(routes=[*control_routes(sandbox, control_token), *consent_routes(sandbox), *page_routes(sandbox)])
    server = Server(
        uvicorn.Config(
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
        ),
        sandbox,
    )
    server.run()
    sandbox.ledger.close()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.x_sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one, which is printed")
    parser.add_argument("--folder", type=Path, required=True, help="where the ledger and the sandbox's key lie")
    parser.add_argument("--control-token-file", type=Path, required=True, help="made (0600) when it does not exist")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier sandbox left in the folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
