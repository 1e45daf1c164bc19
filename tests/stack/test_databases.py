"""Roles and databases, on a server that the stack did not start."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from config.places import Places
from config.settings import Postgres, Settings, X
from deployments.local import databases
from tests.postgres_process import PostgresProcess, running_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresProcess]:
    with running_postgres(options={"log_statement": "all", "fsync": "off"}) as running:
        yield running


@pytest.fixture
def places(server: PostgresProcess, tmp_path: Path) -> Places:
    (tmp_path / "secrets").mkdir()
    wanted = Postgres(address=f"{server.host}:{server.port}", admin_password_file=server.password_file)
    return Places(Settings(home=tmp_path, postgres=wanted))


def a_password(role: str) -> str:
    return f"of:{role}\\"


def test_provisioning_twice_makes_each_role_and_database_once(places: Places, server: PostgresProcess) -> None:
    databases.provision(places, a_password)
    databases.provision(places, a_password)
    with psycopg.connect(server.conninfo()) as connection:
        owners = connection.execute(
            "SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        ).fetchall()
    assert sorted(owners) == [("prefect", "prefect"), ("vivesphere", "vivesphere_owner")]


def test_each_role_enters_its_database_and_no_other(places: Places) -> None:
    databases.provision(places, a_password)
    allowed = {"vivesphere_owner": "vivesphere", "vivesphere_app": "vivesphere", "vivesphere_reader": "vivesphere"}
    for role, database in {**allowed, "prefect": "prefect"}.items():
        psycopg.connect(databases.conninfo(places, role, a_password(role), database)).close()
        other = "prefect" if database == "vivesphere" else "vivesphere"
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(databases.conninfo(places, role, a_password(role), other))


def test_a_changed_password_is_set(places: Places) -> None:
    databases.provision(places, a_password)
    databases.provision(places, lambda role: "other-" + role)
    psycopg.connect(databases.conninfo(places, "prefect", "other-prefect", "prefect")).close()


def test_the_password_file_serves_prefect_and_is_private(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    databases.provision(places, a_password)
    path = databases.password_file(places)
    assert path.stat().st_mode & 0o777 == 0o600
    host, port = places.postgres
    psycopg.connect(host=host, port=port, user="prefect", dbname="prefect", passfile=str(path)).close()


def test_no_password_reaches_the_servers_log(places: Places, server: PostgresProcess) -> None:
    databases.provision(places, lambda role: f"needle-{role}")
    logged = (server.folder / "postgres.log").read_text(encoding="utf-8")
    assert "ALTER ROLE" in logged and "needle" not in logged


def test_a_wrong_admin_password_is_said_with_the_settings_to_look_at(places: Places, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong", encoding="utf-8")
    settings = places.settings.model_copy(
        update={"postgres": places.settings.postgres.model_copy(update={"admin_password_file": wrong})}
    )
    with pytest.raises(databases.DatabaseRefusedError, match="postgres.admin_password_file"):
        databases.provision(Places(settings), a_password)


def test_played_hours_end_where_x_is_the_real_one(places: Places, server: PostgresProcess) -> None:
    databases.provision(places, a_password)
    databases.migrate(places, a_password)
    wall = datetime.now(UTC)
    databases.set_clock(places, a_password, wall=wall, now=wall + timedelta(days=1), speed=60)
    assert hours_ahead(server) > 23
    with pytest.raises(databases.DatabaseRefusedError, match="never stands still"):
        databases.set_clock(places, a_password, wall=wall, now=wall, speed=0)
    real = Places(places.settings.model_copy(update={"x": X(base_url="https://x.example")}))
    with pytest.raises(databases.DatabaseRefusedError, match="sandbox alone"):
        databases.set_clock(real, a_password, wall=wall, now=wall, speed=1)
    databases.migrate(places, a_password)
    assert hours_ahead(server) > 23
    databases.migrate(real, a_password)
    assert abs(hours_ahead(server)) < 0.01


def hours_ahead(server: PostgresProcess) -> float:
    with psycopg.connect(server.conninfo("vivesphere")) as connection:
        row = connection.execute("SELECT extract(epoch FROM app_now() - clock_timestamp())::float8 / 3600").fetchone()
    assert row is not None
    return float(row[0])
