"""What posts had achieved after a day, and what is learnt from that.

Works with the previous release: it neither reads nor writes what this adds; its posts name no template.
"""

from tasks.store.migrations.sql import run_beside

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
