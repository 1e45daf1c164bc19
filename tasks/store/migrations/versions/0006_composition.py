"""Polls, pictures and films of posts, and what a post said before it was changed.

Works with the previous release: it reads none of this, and what it writes has neither.
"""

from tasks.store.migrations.sql import run_beside

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
