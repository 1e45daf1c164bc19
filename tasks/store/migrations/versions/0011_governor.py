"""Limits and money, reserved in the mark step over all senders; why a post waits; a barrier that frees itself.

Works with the previous release: there is none that was given out; the old mark function goes.
"""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Run the .sql file beside this one as it stands; the driver takes many statements where no values are bound."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("the connection is closed")
    connection.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
