"""Where a post came from, and what a morning asks of all of them.

Works with the previous release: it asks for nothing that this adds.
"""

from tasks.store.migrations.sql import run_beside

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
