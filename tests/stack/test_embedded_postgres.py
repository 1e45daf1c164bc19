"""The embedded Postgres: closed from the first moment, safe against kill -9, whole for every language."""

import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deployments.local import postgres
from tests.postgres_process import PostgresProcess, running_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresProcess]:
    with running_postgres() as running:
        yield running


def test_nobody_gets_in_without_a_password(server: PostgresProcess) -> None:
    for password in ("", "wrong"):
        refused = postgres.refusal(server.host, server.port, "postgres", password)
        assert refused is not None and ("password" in refused)
    assert "trust" not in [line.split()[-1] for line in (server.folder / "data" / "pg_hba.conf").open() if line.strip()]


def test_the_password_file_is_for_its_owner_alone(server: PostgresProcess) -> None:
    assert stat.S_IMODE(server.password_file.stat().st_mode) == 0o600


def test_it_listens_on_loopback_and_on_no_socket_file(server: PostgresProcess) -> None:
    with psycopg.connect(server.conninfo()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)


def test_letters_of_every_language_count_in_similarity(server: PostgresProcess) -> None:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        assert connection.execute("SELECT similarity('Straßenbahn Köln', 'strassenbahn koln') < 1").fetchone() == (
            True,
        )
        assert connection.execute("SELECT cardinality(show_trgm('Ää')) > 0").fetchone() == (True,)


def test_what_was_committed_survives_kill_9(server: PostgresProcess) -> None:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    server.kill()
    server.start()
    with psycopg.connect(server.conninfo()) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_a_server_left_behind_is_ended_before_the_next_start(server: PostgresProcess) -> None:
    left, server.process = server.process, None
    assert left is not None
    server.start()
    assert left.wait(5) == 0


def test_a_stale_lock_file_naming_a_living_stranger_does_not_block_the_start(server: PostgresProcess) -> None:
    server.stop()
    lock = server.folder / "data" / "postmaster.pid"
    lock.write_text("1\n", encoding="utf-8")
    server.start()
    assert not lock.read_text(encoding="utf-8").startswith("1\n")


def test_an_initialisation_cut_short_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    half = tmp_path / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18", encoding="utf-8")
    postgres.prepare(tmp_path / "data", tmp_path / "admin.password")
    assert (tmp_path / "data" / "PG_VERSION").exists() and not half.exists()
