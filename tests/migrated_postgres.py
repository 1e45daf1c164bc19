"""A server with our roles and a migrated template, and databases made from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import create_engine

from blocks.postgres.engine import Server
from tasks.store import migrate
from tests.postgres_process import PostgresProcess, running_postgres

ROLES = ("vivesphere_owner", "vivesphere_app", "vivesphere_reader", "vivesphere_sealer")


@contextmanager
def migrated_postgres(folder: Path | None = None) -> Iterator[PostgresProcess]:
    """A server for as long as the block runs; every role has the superuser's password."""
    # Dropping a database waits for every connection that is signing in, and one whose client was cancelled in the
    # middle of that is given up by the server alone, after a minute by default.
    given = {"fsync": "off", "max_wal_size": "128MB", "authentication_timeout": "10s"}
    with running_postgres(folder, given) as server:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            for role in ROLES:
                connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{server.password}'")  # type: ignore[arg-type]
            connection.execute("GRANT pg_signal_backend TO vivesphere_owner")
            connection.execute("CREATE DATABASE migrated OWNER vivesphere_owner")
        engine = create_engine(server.url("migrated", "vivesphere_owner"))
        with engine.connect() as connection:
            migrate.upgrade(connection)
        engine.dispose()
        yield server


@contextmanager
def fresh_database(server: PostgresProcess, name: str) -> Iterator[Server]:
    """A migrated database that nobody else sees, for as long as the block runs."""
    wanted = f"CREATE DATABASE {name} OWNER vivesphere_owner TEMPLATE migrated STRATEGY FILE_COPY"
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(wanted)  # type: ignore[arg-type]
    yield Server(server.host, server.port, name, tls="disable")
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
