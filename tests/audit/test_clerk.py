"""The clerk as a process: commits are sealed within two seconds, and nothing is lost when it or the vault ends."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psycopg
import pytest

from blocks.postgres.engine import Server
from tests.audit.clerk_process import NOTE, Clerk, keep_logins
from tests.openbao_process import OpenBaoProcess, running_openbao
from tests.postgres_process import PostgresProcess
from tests.running_stack import eventually

WITHIN_SECONDS = 30.0


@pytest.fixture
def own_vault(postgres: PostgresProcess) -> Iterator[OpenBaoProcess]:
    """A vault that this test alone breaks, and whose anchor is this test's."""
    with running_openbao() as server:
        keep_logins(server, postgres.password)
        yield server


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
