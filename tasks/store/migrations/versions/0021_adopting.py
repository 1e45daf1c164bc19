"""Bots whose tokens came from elsewhere and wait for their first refresh, which tells whose they are.

Works with the previous release: it never sets the new column, and leaves such a bot to its owner's sign-in.
"""

from tasks.store.migrations.sql import run_beside

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
