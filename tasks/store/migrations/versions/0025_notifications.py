"""Channels by which operators are told, and what was told.

Works with the previous release: it neither reads nor writes what this adds.
"""

from tasks.store.migrations.sql import run_beside

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
