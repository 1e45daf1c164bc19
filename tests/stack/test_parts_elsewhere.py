"""Parts that somebody else runs: the stack uses them by their address and starts none of its own."""

from pathlib import Path

import psycopg
import pytest

from config import loading
from deployments.local import doctor, processes, status
from tests.openbao_process import dev_server
from tests.postgres_process import running_postgres
from tests.stack.conftest import RunningStack


def test_a_postgres_and_a_vault_of_somebody_elses_are_used_by_their_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = RunningStack(tmp_path / "home")
    with (
        found.at_home(),
        running_postgres(options={"max_connections": "200"}) as server,
        dev_server(tmp_path) as (vault, token_file),
    ):
        monkeypatch.setenv("VIVESPHERE_POSTGRES__ADDRESS", f"{server.host}:{server.port}")
        monkeypatch.setenv("VIVESPHERE_POSTGRES__ADMIN_PASSWORD_FILE", str(server.password_file))
        monkeypatch.setenv("VIVESPHERE_VAULT__ADDRESS", vault)
        monkeypatch.setenv("VIVESPHERE_VAULT__ADMIN_TOKEN_FILE", str(token_file))
        try:
            found.up()
            parts = {part.name: part for part in status.status(found.places)}
            assert {parts["postgres"].state, parts["openbao"].state} == {"elsewhere"}
            assert parts["worker"].state == "up"
            assert not (found.home / "postgres").exists() and not (found.home / "vault").exists()
            with psycopg.connect(server.conninfo("vivesphere")) as connection:
                assert connection.execute("SELECT count(*) FROM posts").fetchone() == (0,)
            assert [finding for finding in doctor.examine(found.places) if not finding.well] == []
        finally:
            found.down()
            loading.load.cache_clear()
        assert processes.of_stack(found.home) == []
        psycopg.connect(server.conninfo("vivesphere")).close()
