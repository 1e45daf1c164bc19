"""Trends for personas: a headline of each and its vector, in a table of their own.

Works with the previous release: it adds a table alone.
"""

from tasks.store.migrations.sql import run_beside

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
