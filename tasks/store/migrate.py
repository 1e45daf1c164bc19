"""Brings the schema to head."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from tasks.store.advisory_locks import AdvisoryLock

LOCK_TIMEOUT_MS = 10_000


def upgrade(connection: Connection) -> None:
    """Migrate to head on a connection of the owner; a second caller waits, and finds the work done.

    A migration that waits longer than LOCK_TIMEOUT_MS for a table fails and changes nothing.
    """
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": AdvisoryLock.MIGRATION})
    connection.execute(text(f"SET lock_timeout = {LOCK_TIMEOUT_MS}"))
    connection.commit()
    try:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": AdvisoryLock.MIGRATION})
        connection.commit()


def at_head(connection: Connection) -> tuple[str | None, str | None]:
    """The schema's revision, and the newest one that this release knows."""
    found = MigrationContext.configure(connection).get_current_revision()
    return found, ScriptDirectory.from_config(_config()).get_current_head()


def revisions() -> set[str]:
    """Every revision that this release knows."""
    return {found.revision for found in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
