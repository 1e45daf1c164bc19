"""Versions of credentials that are rotated, and how far each is.

Works with the previous release: it neither reads nor writes what this adds.
"""

from tasks.store.migrations.sql import run_beside

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
