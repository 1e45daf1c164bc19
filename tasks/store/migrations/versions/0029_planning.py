"""What is planned: facts of bots, evergreen texts, days on which nothing is said.

Works with the previous release: it neither reads nor writes what this adds, and a new bot has no facts.
"""

from tasks.store.migrations.sql import run_beside

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
