"""Restores from a backup, each an epoch of its own, and what is refused until a person has taken over.

Works with the previous release: it neither reads nor writes what this adds.
"""

from tasks.store.migrations.sql import run_beside

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
