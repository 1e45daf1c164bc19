"""An API key that another has taken the place of stays good for its grace.

Works with the previous release: it never sets the new column, and for its keys the index says what it said.
"""

from tasks.store.migrations.sql import run_beside

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
