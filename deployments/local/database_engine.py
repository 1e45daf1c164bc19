"""The vault's database engine: the role by which it makes logins, what a login is, and the label that names one."""

import secrets

import psycopg
from psycopg import sql

from blocks.vault.errors import Missing
from blocks.vault.kv import Kv
from config.places import Places
from deployments.local import databases, vault_provisioning
from deployments.local.databases import APP, Password
from tasks.connections import APP_LOGIN_PATH

MAKER = "vivesphere_vault"
NAME = "vivesphere"
ROLE = "app"
# Passwords reach the server as verifiers, so that no log of its can show one.
HASHED = "scram-sha-256"
# Every session acts as the role that has the rights, so nothing that a login makes is its own.
CREATE = [
    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE " + APP,
    'ALTER ROLE "{{name}}" SET role TO ' + APP,
]
RENEW = ["ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'"]
REVOKE = [
    'ALTER ROLE "{{name}}" NOLOGIN',
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'",
    'DROP ROLE IF EXISTS "{{name}}"',
]
SECONDS_PER_DAY = 86_400
# How long a login may be renewed at all: until it was rotated, with time to spare for a stack that was down.
SPARE_SECONDS = 7 * SECONDS_PER_DAY


def provision(places: Places, password: Password) -> None:
    """Bring the engine to the wanted state and see that the label names a login that works; safe to repeat."""
    with vault_provisioning.as_provision(places) as vault:
        if places.settings.postgres.logins_by_vault:
            _ensure_maker(places, fresh := secrets.token_urlsafe(32))
            mount = places.settings.vault.database_mount
            vault.put(f"{mount}/config/{NAME}", _config(places, fresh))
            vault.put(f"{mount}/roles/{ROLE}", _role(places))
        kv = Kv(vault, places.settings.vault.kv_mount, places.settings.vault.readers)
        if not _label_works(places, kv):
            kv.write(APP_LOGIN_PATH, {"username": APP, "password": password(APP)}, None)


def _ensure_maker(places: Places, password: str) -> None:
    """The engine's own role, with a password that is new at each `up` and stands in the vault's configuration alone."""
    with databases.admin(places, "postgres") as connection:
        verifier = connection.pgconn.encrypt_password(password.encode(), MAKER.encode(), HASHED.encode()).decode()
        maker = sql.Identifier(MAKER)
        exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [MAKER]).fetchone()
        connection.execute(
            sql.SQL("{verb} ROLE {maker} LOGIN CREATEROLE PASSWORD {verifier}").format(
                verb=sql.SQL("ALTER" if exists else "CREATE"), maker=maker, verifier=sql.Literal(verifier)
            )
        )
        connection.execute(sql.SQL("ALTER ROLE {} SET createrole_self_grant = 'set, inherit'").format(maker))
        connection.execute(sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(sql.Identifier(APP), maker))
        connection.execute(sql.SQL("GRANT pg_signal_backend TO {}").format(maker))
        database = sql.Identifier(places.settings.postgres.database)
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, maker))


def _config(places: Places, password: str) -> dict[str, object]:
    host, port = places.postgres
    settings = places.settings.postgres
    tls = settings.tls if settings.address else "disable"
    return {
        "plugin_name": "postgresql-database-plugin",
        "connection_url": (
            f"postgresql://{{{{username}}}}:{{{{password}}}}@{host}:{port}/{settings.database}?sslmode={tls}"
        ),
        "username": MAKER,
        "password": password,
        "password_authentication": HASHED,
        "allowed_roles": [ROLE],
    }


def _role(places: Places) -> dict[str, object]:
    rules = places.settings.rotation.database_logins
    return {
        "db_name": NAME,
        "creation_statements": CREATE,
        "renew_statements": RENEW,
        "revocation_statements": REVOKE,
        "default_ttl": rules.lease_seconds,
        "max_ttl": rules.max_age_seconds + rules.grace_seconds + rules.lease_seconds + SPARE_SECONDS,
    }


def _label_works(places: Places, kv: Kv) -> bool:
    try:
        found = kv.read(APP_LOGIN_PATH).data
    except Missing:
        return False
    if found["username"] != APP and not places.settings.postgres.logins_by_vault:
        return False
    try:
        psycopg.connect(databases.conninfo(places, found["username"], found["password"])).close()
    except psycopg.OperationalError:
        return False
    return True
