"""Our roles and databases on the server, embedded or not: made where missing, passwords set where they differ."""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Engine, NullPool, create_engine, text

from config.loading import Loaded
from config.overrides import Ignored, overlay
from config.places import Places
from deployments.local import layout, postgres, vault_provisioning
from tasks.store import migrate as schema
from tasks.store import settings as settings_store

OWNER, APP, READER, SEALER = "vivesphere_owner", "vivesphere_app", "vivesphere_reader", "vivesphere_sealer"
PREFECT = "prefect"
ROLES = (OWNER, APP, READER, SEALER, PREFECT)
# As the table's own check says.
SPEED_MOST = 100_000

Password = Callable[[str], str]


class DatabaseRefusedError(RuntimeError):
    """The server did not let us in or refused a statement; the text says what to do."""


def provision(places: Places, password: Password) -> None:
    """Bring roles, databases and the Prefect server's password file to the wanted state; safe to repeat.

    `password` gives each role's password. It is sent as a SCRAM verifier, so that no server log can show it.
    """
    with admin(places, "postgres") as connection:
        for role in ROLES:
            _ensure_role(connection, places, role, password(role))
        # A stop ends sessions that froze in the middle of a mark, by a function that runs as the owner.
        connection.execute(sql.SQL("GRANT pg_signal_backend TO {}").format(sql.Identifier(OWNER)))
        _ensure_database(connection, places.settings.postgres.database, OWNER)
        _ensure_database(connection, places.settings.postgres.prefect_database, PREFECT)
    layout.write_private(password_file(places), _pgpass_line(places, PREFECT, password(PREFECT)))


def passwords(places: Places) -> Password:
    """The roles' passwords in the vault, made at the first call, each asked for once."""

    @cache
    def password(role: str) -> str:
        stored = vault_provisioning.ensure_secret(
            places,
            f"postgres/{role.removeprefix('vivesphere_')}",
            lambda: {"username": role, "password": secrets.token_urlsafe(32)},
        )
        return stored.data["password"]

    return password


def migrate(places: Places, password: Password) -> None:
    """Bring our schema to head, as its owner; on the real X no hour that was played on the sandbox goes on."""
    with owner_engine(places, password).connect() as connection:
        schema.upgrade(connection)
        if not places.x_is_sandbox:
            connection.execute(text("UPDATE app_clock SET app_anchor = real_anchor, rate = 1"))
            connection.commit()


def set_clock(places: Places, password: Password, *, wall: datetime, now: datetime, speed: float) -> None:
    """From when this machine's clock shows `wall` on, app_now() says `now`, and time runs so many times as fast."""
    if not places.x_is_sandbox:
        raise DatabaseRefusedError("the clock is played on the X sandbox alone, and x.base_url names another X")
    if not 0 < speed <= SPEED_MOST:
        raise DatabaseRefusedError(f"the stack's time runs up to {SPEED_MOST} times as fast, and never stands still")
    with owner_engine(places, password).begin() as connection:
        connection.execute(
            text("UPDATE app_clock SET real_anchor = :wall, app_anchor = :now, rate = :speed"),
            {"wall": wall, "now": now, "speed": speed},
        )


def owner_engine(places: Places, password: Password) -> Engine:
    """An engine that keeps no connection; for migrations and what looks after them."""
    return create_engine(
        "postgresql+psycopg://",
        poolclass=NullPool,
        connect_args=conninfo_to_dict(conninfo(places, OWNER, password(OWNER))),
    )


def password_file(places: Places) -> Path:
    """0600 file in libpq's format from which Prefect's server takes its password."""
    return places.secrets / "prefect.pgpass"


def conninfo(places: Places, role: str, password: str, database: str | None = None) -> str:
    """What psycopg connects with as `role`."""
    host, port = places.postgres
    settings = places.settings.postgres
    return make_conninfo(
        host=host,
        port=port,
        user=role,
        password=password,
        dbname=database or settings.database,
        sslmode=settings.tls if settings.address else "disable",
        connect_timeout=settings.connect_timeout_seconds,
    )


def admin_user(places: Places) -> str:
    """Role that made our roles and databases."""
    return places.settings.postgres.admin_user if places.settings.postgres.address else "postgres"


def admin_password(places: Places) -> str:
    """The superuser's (or the given admin's) password, from its 0600 file."""
    path = postgres.admin_password_file(places)
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise DatabaseRefusedError(
            f"cannot read {path}: write the password of {places.settings.postgres.admin_user} into it (mode 0600) "
            "and name it in postgres.admin_password_file"
        ) from error


def refusal(places: Places) -> str | None:
    """None if the server lets the admin in, else what it said."""
    try:
        admin(places, "postgres").close()
    except DatabaseRefusedError as error:
        return str(error)
    return None


def server_version(places: Places) -> int:
    """As Postgres counts: 160004 is 16.4."""
    with admin(places, "postgres") as connection:
        return connection.info.server_version


def loses_commits(places: Places) -> list[str]:
    """Settings of the server by which a commit that it acknowledged may be lost."""
    with admin(places, places.settings.postgres.database) as connection:
        rows = connection.execute(
            "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
            " AND setting = 'off' ORDER BY name"
        ).fetchall()
    return [str(row[0]) for row in rows]


def ignored_overrides(places: Places) -> Sequence[Ignored]:
    """Settings that people changed and this release does not take; raises DatabaseRefusedError or SQLAlchemyError."""
    engine = create_engine(
        "postgresql+psycopg://", poolclass=NullPool, creator=lambda: admin(places, places.settings.postgres.database)
    )
    with engine.connect() as connection:
        found = settings_store.by_key(connection.execute(settings_store.newest()))
    return overlay(Loaded(places.settings, {}), found).ignored


def server_clock(places: Places) -> float | None:
    """Unix time by the database; None if it does not answer."""
    try:
        with admin(places, "postgres") as connection:
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    except DatabaseRefusedError:
        return None
    return float(str(row[0])) if row else None


def admin(places: Places, database: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection of the role that made our roles and databases; raises DatabaseRefusedError."""
    user = admin_user(places)
    try:
        return psycopg.connect(conninfo(places, user, admin_password(places), database), autocommit=True)
    except psycopg.OperationalError as error:
        host, port = places.postgres
        raise DatabaseRefusedError(
            f"Postgres at {host}:{port} does not let {user} in: {str(error).strip()}; "
            "see postgres.address, postgres.admin_user and postgres.admin_password_file"
        ) from error


def _ensure_role(connection: psycopg.Connection[tuple[object, ...]], places: Places, role: str, password: str) -> None:
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    if exists and _opens(places, role, password):
        return
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(
        sql.SQL("{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEROLE PASSWORD {verifier}").format(
            verb=sql.SQL("ALTER" if exists else "CREATE"), role=sql.Identifier(role), verifier=sql.Literal(verifier)
        )
    )
    # A managed server's admin is no superuser: it must belong to a role to make databases for it.
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def _ensure_database(connection: psycopg.Connection[tuple[object, ...]], name: str, owner: str) -> None:
    database = sql.Identifier(name)
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(owner)))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    if owner == OWNER:
        # Each time: a newer release may have brought a role more.
        guests = sql.SQL(", ").join(map(sql.Identifier, (APP, READER, SEALER)))
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, guests))
        # Snapshots of metrics go through a staging table that the connection alone sees.
        connection.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(database, sql.Identifier(APP)))


def _opens(places: Places, role: str, password: str) -> bool:
    """Whether the role has this password already; any database will do, a refusal for another reason does not."""
    try:
        psycopg.connect(conninfo(places, role, password, "postgres")).close()
    except psycopg.OperationalError:
        return False
    return True


def _pgpass_line(places: Places, role: str, password: str) -> str:
    host, port = places.postgres
    fields = (host, str(port), places.settings.postgres.prefect_database, role, password)
    return ":".join(field.replace("\\", "\\\\").replace(":", "\\:") for field in fields) + "\n"
