"""Links by which an account's owner connects it without a login here.

Works with the previous release: it neither reads nor writes what this adds.
"""

from tasks.store.migrations.sql import run_beside

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
