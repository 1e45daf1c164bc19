"""Feeds of bots, and their entries by guid.

Works with the previous release: it neither reads nor writes what this adds.
"""

from tasks.store.migrations.sql import run_beside

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
