"""How long a post may be late, as one rule for the claim, the catch-up and the sweep.

Works with the previous release: it asks for nothing that this adds.
"""

from tasks.store.migrations.sql import run_beside

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
