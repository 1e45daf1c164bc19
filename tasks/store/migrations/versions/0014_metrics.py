"""Metrics: snapshots of posts and accounts, their rollups, and what is to be read when.

Works with the previous release: it adds tables and functions alone, and nothing that the previous release writes
reaches them.
"""

from tasks.store.migrations.sql import run_beside

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
