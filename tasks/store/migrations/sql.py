"""Runs the SQL of a migration, which stands beside it as it is."""

from pathlib import Path

from alembic import op


def run_beside(migration: str) -> None:
    """Run the .sql file beside `migration`; the driver takes many statements where no values are bound."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("the connection is closed")
    connection.execute(Path(migration).with_suffix(".sql").read_text(encoding="utf-8"))
