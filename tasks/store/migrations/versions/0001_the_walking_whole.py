"""The tables of accounts, bots, posting and logs.

Works with the previous release: there is none.
"""

from tasks.store.migrations.sql import run_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
