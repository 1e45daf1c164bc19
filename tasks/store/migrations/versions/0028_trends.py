"""Trends: sources and their health, names, readings of sources by scheduled instant, and what they amount to.

Works with the previous release: it adds tables alone, and the function that makes months makes those of one more.
"""

from tasks.store.migrations.sql import run_beside

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
