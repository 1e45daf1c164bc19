"""Settings that people changed, with who, when, why, and what stood before.

Works with the previous release: it neither reads nor writes what this adds.
"""

from tasks.store.migrations.sql import run_beside

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
