"""Learning from results: what each hour is worth, and which bots do far worse than they used to. Needs pandas."""

from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

import pandas as pd

from tasks.connections import Connections
from tasks.domain import engagement, history
from tasks.domain.best_times import best_times as learnt
from tasks.operations.post_results import OLD_ENOUGH
from tasks.store import base, best_times, bot_insights, post_results, rollups
from tasks.store.bot_insights import BotInsight

Rows = Sequence[Mapping[str, Any]]


async def learn_times(at: Connections) -> int:
    """Learn anew what the hours of the week are worth to each persona; answers how many personas that are."""
    async with at.transaction() as session:
        now = await base.now(session)
        cells = await post_results.by_hour_of_week(session, now - timedelta(days=at.places.settings.metrics.learn_days))
    found = learnt(pd.DataFrame(cells))
    rows = [
        {"persona_id": UUID(row["persona"]), **{name: row[name] for name in row if name != "persona"}}
        for row in records(found)
    ]
    async with at.transaction() as session:
        await best_times.replace(session, rows)
    return len(rows) // 168


async def review_bots(at: Connections) -> Sequence[BotInsight]:
    """Find anew how each bot does, of late and against its own history."""
    days = at.places.settings.metrics.report_days
    async with at.transaction() as session:
        settled = (await base.now(session) - OLD_ENOUGH).astimezone(UTC)
        since = settled - timedelta(days=max(days, history.RECENT_DAYS + history.HISTORY_DAYS))
        results = await post_results.by_day(session, since, settled, None)
        gains = await rollups.of_fleet(session, (settled - timedelta(days=days)).date(), settled.date(), None)
    rows = records(_reviewed(pd.DataFrame(results), pd.DataFrame(gains), days, pd.Timestamp(settled.date())))
    async with at.transaction() as session:
        await bot_insights.replace(session, [{"bot_id": UUID(row.pop("bot")), "days": days, **row} for row in rows])
        return await bot_insights.of_bots(session, None)


def _reviewed(results: pd.DataFrame, gains: pd.DataFrame, days: int, settled: pd.Timestamp) -> pd.DataFrame:
    if results.empty:
        return results
    results = results.assign(age_days=(settled - pd.to_datetime(results["day"])).dt.days)
    daily = results.groupby(["bot", "age_days"], as_index=False)[["posts", "impressions", "engaged", "log_views"]].sum()
    found = history.judged(daily)
    late = results[results["age_days"] < days]
    rates = engagement.rates(late, ["bot"])
    names = ["bot", "posts", "impressions", "engaged", "rate", "rate_low", "rate_high", "x_rate"]
    found = found.merge(rates[names], on="bot", how="inner")
    found = found.merge(engagement.half_lives(late).rename("half_life_hours").reset_index(), on="bot", how="left")
    if gains.empty:
        return found.assign(followers=None, gained=None, weekly=None)
    return found.merge(engagement.growth(gains), on="bot", how="left")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame with plain values: None where there is none, whole numbers as such."""
    return [
        {str(name): _plain(value) for name, value in row.items()} for row in frame.astype(object).to_dict("records")
    ]


def _plain(value: Any) -> Any:
    if pd.isna(value) or value in (float("inf"), float("-inf")):
        return None
    return value.item() if hasattr(value, "item") else value
