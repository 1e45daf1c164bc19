"""What was seen of a post whose answer was lost, when it is looked for again, and the wish to cancel it meanwhile.

Works with the previous release: new columns have defaults or may be empty, and no word that it writes is forbidden.
"""

from tasks.store.migrations.sql import run_beside

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
