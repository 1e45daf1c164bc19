"""An index by which attempts that ended lately are found, for whoever watches over posting.

Works with the previous release: it neither reads nor writes what this adds.
"""

from tasks.store.migrations.sql import run_beside

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
