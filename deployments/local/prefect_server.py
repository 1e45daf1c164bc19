"""Prefect's server as a child: loopback, an auth string that lives as long as the stack, state in Postgres."""

import json
import secrets
import sys
from pathlib import Path

from config.places import Places
from config.settings import LOOPBACK
from deployments.local import databases, environment, layout, prefect_api
from deployments.local.child import Child

SECONDS_PER_DAY = 86_400
AUTH_USER = "vivesphere"


def child(places: Places) -> Child:
    """The server as the supervisor keeps it."""
    return Child(
        name="prefect",
        command=[sys.executable, "-m", "prefect", "server", "start"],
        address=places.prefect.removesuffix("/api"),
        ready=lambda: prefect_api.refusal(places),
        environment={**environment.foreign(places), **server_environment(places)},
        prepare=lambda: _write_profile(places),
        folder=folder(places),
    )


def folder(places: Places) -> Path:
    """PREFECT_HOME of the server alone: what lies here never reaches the environment of a run."""
    return places.home / "prefect" / "server"


def new_auth(places: Places) -> None:
    """Choose the auth string; called once for each start of the stack."""
    layout.write_private(places.run / "prefect.auth", f"{AUTH_USER}:{secrets.token_urlsafe(32)}")


def server_environment(places: Places) -> dict[str, str]:
    """Prefect's settings for the server; the secrets stand in files beside it."""
    settings = places.settings.prefect
    return {
        "PREFECT_HOME": str(folder(places)),
        "PGPASSFILE": str(databases.password_file(places)),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": _database_url(places),
        "PREFECT_SERVER_API_HOST": LOOPBACK,
        "PREFECT_SERVER_API_PORT": str(settings.port),
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": places.prefect.removesuffix("/api"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # In memory, a restart of the server would crash every run that holds a slot.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": "30",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(settings.retention_days * SECONDS_PER_DAY),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"P{settings.retention_days}D",
        "PREFECT_CLI_COLORS": "false",
    }


def _database_url(places: Places) -> str:
    """Without the password, which asyncpg reads from PGPASSFILE."""
    host, port = places.postgres
    settings = places.settings.postgres
    tls = settings.tls if settings.address else "disable"
    return f"postgresql+asyncpg://{databases.PREFECT}@{host}:{port}/{settings.prefect_database}?ssl={tls}"


def _write_profile(places: Places) -> None:
    """The auth string reaches the server by its profile: what stands in an environment shows in /proc."""
    home = folder(places)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    auth = json.dumps(environment.prefect_auth(places))
    layout.write_private(
        home / "profiles.toml",
        f'active = "stack"\n\n[profiles.stack]\nPREFECT_SERVER_API_AUTH_STRING = {auth}\n',
    )
