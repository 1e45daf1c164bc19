"""The tables of accounts, bots, posting and logs.

Works with the previous release: there is none.
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the .sql file beside this one as it stands; the driver takes many statements where no values are bound."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("the connection is closed")
    connection.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
