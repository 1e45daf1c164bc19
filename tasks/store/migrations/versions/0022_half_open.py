"""Breakers that have ended or that a person ended are half open: X is asked before posts are let through.

Works with the previous release: its statements go through the functions that this replaces, and to it a half-open
breaker is one that silences.
"""

from tasks.store.migrations.sql import run_beside

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """To this revision."""
    run_beside(__file__)
