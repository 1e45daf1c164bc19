"""A real Postgres in a folder of its own, for tests: started in about two seconds, gone with the test process."""

import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from psycopg.conninfo import make_conninfo

from config.settings import LOOPBACK
from deployments.local import postgres

READY_SECONDS = 30
STOP_SECONDS = 20
# Below the ports that a stack chooses, and below those that the system gives to outgoing connections.
PORT_RANGE = range(10_000, 20_000)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    for port in secrets.SystemRandom().sample(PORT_RANGE, len(PORT_RANGE)):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return port
    raise RuntimeError("every port of the tests is taken")


@dataclass
class PostgresProcess:
    """The server; `start` after `kill` or `stop` brings the same cluster back on the same port."""

    folder: Path
    options: Mapping[str, str] = field(default_factory=dict)
    host: str = LOOPBACK
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def password_file(self) -> Path:
        """0600 file with the password of `postgres`."""
        return self.folder / "admin.password"

    @property
    def password(self) -> str:
        """Password of the superuser `postgres`."""
        return self.password_file.read_text(encoding="utf-8")

    def conninfo(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """What `psycopg.connect` takes."""
        return make_conninfo(
            host=self.host, port=self.port, dbname=database, user=user, password=password or self.password
        )

    def url(
        self,
        database: str = "postgres",
        user: str = "postgres",
        password: str | None = None,
        driver: str = "postgresql+psycopg",
    ) -> str:
        """What SQLAlchemy's `create_engine` takes; the password is URL-safe."""
        return f"{driver}://{user}:{password or self.password}@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it lets the superuser in."""
        data = self.folder / "data"
        postgres.prepare(data, self.password_file)
        command = postgres.server_command(data, self.port, self.options)
        at = command.index(next(part for part in command if part.endswith("/postgres")))
        # A test process that is killed takes its server along; the tie must be made inside the user namespace.
        command[at:at] = ["setpriv", "--pdeathsig", "INT"]
        with (self.folder / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=postgres.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_SECONDS
        while (refusal := postgres.refusal(self.host, self.port, "postgres", self.password)) is not None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "postgres.log").read_text(encoding="utf-8")[-2000:]
                raise RuntimeError(f"Postgres did not start: {refusal}\n{said}")
            time.sleep(0.02)

    def kill(self) -> None:
        """kill -9 of the postmaster; its backends follow within moments."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """A clean end."""
        self._end(postgres.STOP_SIGNAL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(STOP_SECONDS)
        self.process = None


@contextmanager
def running_postgres(folder: Path | None = None, options: Mapping[str, str] | None = None) -> Iterator[PostgresProcess]:
    """A server of its own for as long as the block runs; call it from the main thread, to which its life is tied.

    `options` are lines of postgresql.conf, such as {"fsync": "off"}, which is safe against kill -9.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-") as temporary:
        server = PostgresProcess(folder or Path(temporary), options or {})
        server.folder.mkdir(parents=True, exist_ok=True)
        server.start()
        try:
            yield server
        finally:
            server.stop()
