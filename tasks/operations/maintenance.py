"""Upkeep of tables: months that are made ahead, and months that are dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta

from tasks.connections import Connections
from tasks.domain.retention import first_kept
from tasks.store import base, metrics, trends


@dataclass(frozen=True)
class Kept:
    """How many months of tables were made, and which were dropped."""

    made: int
    dropped: Sequence[str]


async def keep_months(at: Connections) -> Kept:
    """Make the months of metrics and trends ahead of time, and drop those that are older than the settings keep.

    Each table is dropped in a transaction of its own, for as short a lock as there is.
    """
    wanted, trend_days = at.places.settings.metrics, at.places.settings.trends.snapshot_days
    async with at.transaction() as session:
        now = await base.now(session)
        until = now.astimezone(UTC) + timedelta(days=wanted.ahead_days)
        made = await metrics.make_months(session, now.astimezone(UTC).date(), until.date())
    dropped: list[str] = []
    for table, days in (
        ("post_metrics", wanted.snapshot_days),
        ("account_metrics", wanted.snapshot_days),
        ("bot_metrics_hourly", wanted.hourly_days),
        ("post_metrics_daily", wanted.rollup_days),
        ("bot_metrics_daily", wanted.rollup_days),
        ("post_results", wanted.rollup_days),
        ("trend_snapshots", trend_days),
        ("trend_readings", trend_days),
    ):
        async with at.transaction() as session:
            dropped += await metrics.drop_months(session, table, first_kept(now, timedelta(days=days)))
    async with at.transaction() as session:
        await trends.drop_names(session, first_kept(now, timedelta(days=trend_days)))
    return Kept(made, dropped)
