"""The clerk as a process: commits are sealed within two seconds, and nothing is lost when it or the vault ends."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psycopg
import pytest

from blocks.postgres.engine import Server
from config.loading import APP_ROOT
from tests.openbao_process import OpenBaoProcess, running_openbao
from tests.postgres_process import PostgresProcess
from tests.running_stack import eventually

NOTE = (
    "INSERT INTO audit_log (category, actor, actor_kind, action, subject, details)"
    " VALUES ('activity', 'tests', 'system', 'posts.cancel', %s, '{}')"
)
SEALED = "SELECT count(*) FROM audit_log JOIN audit_leaves ON row_id = audit_log.id"
WITHIN_SECONDS = 30.0


@pytest.fixture
def own_vault(postgres: PostgresProcess) -> Iterator[OpenBaoProcess]:
    """A vault that this test alone breaks, and whose anchor is this test's."""
    with running_openbao() as server:
        for role in ("app", "sealer"):
            login = {"username": f"vivesphere_{role}", "password": postgres.password}
            server.kv("provision").write(f"postgres/{role}", login, None)
        yield server


class Clerk:
    """The process, and the database that it works on."""

    def __init__(self, vault: OpenBaoProcess, postgres: PostgresProcess, database: Server, home: Path) -> None:
        (home / "run").mkdir()
        for file in (vault.places.role_id("sealer"), vault.places.secret_id("sealer")):
            shutil.copy(file, home / "run")
        self._environment = {
            **os.environ,
            "VIVESPHERE_HOME": str(home),
            "VIVESPHERE_VAULT__ADDRESS": vault.places.vault,
            "VIVESPHERE_VAULT__CA_FILE": str(vault.places.vault_ca),
            "VIVESPHERE_POSTGRES__ADDRESS": f"{database.host}:{database.port}",
            "VIVESPHERE_POSTGRES__DATABASE": database.database,
            "VIVESPHERE_POSTGRES__TLS": "disable",
            "VIVESPHERE_X__SANDBOX_PORT": "9",
        }
        self.log = home / "clerk.log"
        self.complaints = home / "logs" / "security.jsonl"
        self.app = postgres.conninfo(database.database, "vivesphere_app")

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """For as long as the block runs, unless it kills it."""
        with self.log.open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "deployments.local.clerk"],
                cwd=APP_ROOT,
                env=self._environment,
                stdout=said,
                stderr=said,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def complains(self, said: str) -> bool:
        """Whether this stands in the security log."""
        return self.complaints.exists() and said in self.complaints.read_text(encoding="utf-8")

    def sealed(self) -> int:
        """Rows that have a leaf."""
        with psycopg.connect(self.app) as connection:
            return int(connection.execute(SEALED).fetchone()[0])  # type: ignore[index]

    def is_whole(self, rows: int) -> bool:
        """Every row sealed once, seals and leaves without a hole."""
        with psycopg.connect(self.app) as connection:
            found = connection.execute(
                "SELECT count(*), min(position), max(position), count(DISTINCT row_id),"
                " (SELECT sum(leaves) FROM audit_seals), (SELECT max(number) - count(*) FROM audit_seals)"
                " FROM audit_leaves"
            ).fetchone()
        return found == (rows, 1, rows, rows, rows, 0)


@pytest.fixture
def clerk(own_vault: OpenBaoProcess, postgres: PostgresProcess, database: Server, tmp_path: Path) -> Clerk:
    """Not running yet."""
    return Clerk(own_vault, postgres, database, tmp_path)


@pytest.mark.promise("P7")
def test_what_is_committed_is_sealed_within_two_seconds(clerk: Clerk) -> None:
    with clerk.running(), psycopg.connect(clerk.app, autocommit=True) as app:
        app.execute(NOTE, ["the first"])
        eventually(lambda: clerk.sealed() == 1, WITHIN_SECONDS)
        took = []
        for number in range(2, 9):
            app.execute(NOTE, [f"row {number}"])
            committed = time.monotonic()
            while clerk.sealed() < number:
                time.sleep(0.02)
            took.append(time.monotonic() - committed)
    print(f"sealed after {median(took):.2f} s (median), {max(took):.2f} s (most)")
    assert median(took) < 2


def test_a_clerk_that_is_killed_again_and_again_seals_every_row_once(clerk: Clerk) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)  # noqa: S311
    written = 0
    with psycopg.connect(clerk.app, autocommit=True) as app:
        for _ in range(4):
            with clerk.running() as process:
                before = clerk.sealed()
                while clerk.sealed() == before:
                    app.execute(NOTE, [f"row {written}"])
                    written += 1
                until = time.monotonic() + chance.uniform(0, 1)
                while time.monotonic() < until:
                    app.execute(NOTE, [f"row {written}"])
                    written += 1
                process.send_signal(signal.SIGKILL)
                process.wait()
    with clerk.running():
        eventually(lambda: clerk.sealed() == written, WITHIN_SECONDS)
    assert clerk.is_whole(written)


def test_rows_wait_loudly_while_the_vault_is_away_and_none_is_lost(clerk: Clerk, own_vault: OpenBaoProcess) -> None:
    with clerk.running(), psycopg.connect(clerk.app, autocommit=True) as app:
        app.execute(NOTE, ["before"])
        eventually(lambda: clerk.sealed() == 1, WITHIN_SECONDS)
        own_vault.kill()
        for number in range(5):
            app.execute(NOTE, [f"meanwhile {number}"])
        eventually(lambda: clerk.complains("the audit is not sealed, its rows wait"), WITHIN_SECONDS)
        assert clerk.sealed() == 1
        own_vault.start()
        eventually(lambda: clerk.sealed() == 6, WITHIN_SECONDS)
    assert clerk.is_whole(6)
