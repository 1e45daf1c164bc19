"""The clerk as a process of its own, over a database and a vault that are there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from blocks.postgres.engine import Server
from config.loading import APP_ROOT
from tests.openbao_process import OpenBaoProcess
from tests.postgres_process import PostgresProcess

NOTE = (
    "INSERT INTO audit_log (category, actor, actor_kind, action, subject, details)"
    " VALUES ('activity', 'tests', 'system', 'posts.cancel', %s, '{}')"
)
SEALED = "SELECT count(*) FROM audit_log JOIN audit_leaves ON row_id = audit_log.id"


def keep_logins(vault: OpenBaoProcess, password: str) -> None:
    """Put the logins that the clerk reads where `up` puts them."""
    for name, role in (("login", "app"), ("sealer", "sealer")):
        vault.kv("provision").write(f"postgres/{name}", {"username": f"vivesphere_{role}", "password": password}, None)


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
