"""Sessions, links and lockout of people; keys made for one role or one label; runs asked for within labels.

Works with the previous release: it asks for nothing that this adds, but cannot sign in a user without a password.
"""

from tasks.store.migrations.sql import run_beside

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
