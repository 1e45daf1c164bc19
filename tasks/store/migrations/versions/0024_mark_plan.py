"""The mark's plan is made once for a connection, and not for each of its first five calls.

Works with the previous release: it calls the same function.
"""

from tasks.store.migrations.sql import run_beside

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
