"""Attempts and their posts are held still by one call, where two statements went to and fro.

Works with the previous release: it takes the same locks in the same order by itself.
"""

from tasks.store.migrations.sql import run_beside

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
