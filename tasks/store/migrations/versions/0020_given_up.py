"""Who gave a version on its way up, so that the next run of the rotation ends it.

Works with the previous release: it neither reads nor writes the new column, and goes on with such a version.
"""

from tasks.store.migrations.sql import run_beside

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
