"""Threads, misfire policies, stops and breakers; what an attempt must remember to be reconciled.

Works with the previous release: there is none that was given out; the old mark function goes.
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the .sql file beside this one as it stands; the driver takes many statements where no values are bound."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("the connection is closed")
    connection.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
