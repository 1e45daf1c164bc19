"""What the gate compares: fingerprints of texts; and approvals, each for the words that a person saw.

Works with the previous release: it judges by its own rules, and what it wrote is compared and judged anew by this one.
"""

from tasks.store.migrations.sql import run_beside

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
