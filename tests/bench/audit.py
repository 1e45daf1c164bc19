"""The audit: appending while the clerk seals, against plain inserts of the same values."""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psycopg

from blocks.postgres.engine import Server
from tests.audit.clerk_process import NOTE, Clerk, keep_logins
from tests.bench.figure import Figure
from tests.migrated_postgres import migrated_postgres
from tests.openbao_process import running_openbao
from tests.postgres_process import PostgresProcess

WRITERS = 8
SECONDS = 5.0
PAIRS = 3
PATIENCE_SECONDS = 60.0
PLAIN = NOTE.replace("audit_log", "plain_log")


def audit_appends_per_second() -> list[Figure]:
    """Transactions of one change each, from eight connections, while every one of them is sealed."""
    with _database() as (postgres, clerk), clerk.running():
        _append(clerk.app, NOTE, 1.0)
        _seconds_until_sealed(clerk)
        ours, plain, behind = [], [], []
        for _ in range(PAIRS):
            plain.append(_append(postgres.conninfo("migrated"), PLAIN, SECONDS))
            ours.append(_append(clerk.app, NOTE, SECONDS))
            behind.append(_seconds_until_sealed(clerk))
    return [
        Figure(
            "audit_appends_per_second",
            median(ours),
            median(plain),
            "1/s",
            "ours >= 1400",
            note=f"{WRITERS} connections, one row in each transaction, {SECONDS:.0f} s, {PAIRS} pairs. The limit "
            "inserts the same values into a table with a key alone, and nobody seals. fsync is off: waiting for the "
            "disk is the same for both, and would hide the rest. At this rate the last row had its seal "
            f"{max(behind):.1f} s after it was written.",
        )
    ]


@contextmanager
def _database() -> Iterator[tuple[PostgresProcess, Clerk]]:
    with migrated_postgres() as postgres, running_openbao() as vault, tempfile.TemporaryDirectory() as home:
        with psycopg.connect(postgres.conninfo("migrated"), autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE plain_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, category text, actor text,"
                " at timestamptz DEFAULT now(), actor_kind text, action text, subject text, details jsonb)"
            )
        keep_logins(vault, postgres.password)
        server = Server(postgres.host, postgres.port, "migrated", tls="disable")
        yield postgres, Clerk(vault, postgres, server, Path(home))


def _append(conninfo: str, statement: str, seconds: float) -> float:
    """Rows a second from all writers together."""
    written = [0] * WRITERS

    def write(number: int) -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                connection.execute(statement, [f"post-{written[number]}"])  # type: ignore[arg-type]
                written[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(written) / (time.monotonic() - began)


def _seconds_until_sealed(clerk: Clerk) -> float:
    began = time.monotonic()
    with psycopg.connect(clerk.app, autocommit=True) as connection:
        while connection.execute(
            "SELECT (SELECT count(*) FROM audit_log) > (SELECT count(*) FROM audit_leaves)"
        ).fetchone() == (True,):
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise TimeoutError(clerk.log.read_text(encoding="utf-8")[-2000:])
            time.sleep(0.05)
    return time.monotonic() - began
