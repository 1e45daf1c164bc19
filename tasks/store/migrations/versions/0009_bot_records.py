"""Encrypted data of bots.

Works with the previous release: it knows none of these tables.
"""

from tasks.store.migrations.sql import run_beside

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
