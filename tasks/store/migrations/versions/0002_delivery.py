"""Threads, misfire policies, stops and breakers; what an attempt must remember to be reconciled.

Works with the previous release: there is none that was given out; the old mark function goes.
"""

from tasks.store.migrations.sql import run_beside

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
