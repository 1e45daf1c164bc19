"""OAuth 1.0a credentials of bots, keys of outside services, lines of programs in the log, and requests sent twice.

Works with the previous release: it neither reads nor writes what this adds, and every row that it writes fits.
"""

from tasks.store.migrations.sql import run_beside

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
