"""Making a report: figures from results and rollups, pictures and the page from these. Needs pandas."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.connections import Connections
from tasks.domain import engagement
from tasks.domain.insight import ADVICE
from tasks.domain.personas import Label
from tasks.operations.learning import records
from tasks.operations.post_results import OLD_ENOUGH
from tasks.reports import fleet_report
from tasks.store import base, best_times, bot_insights, bots, post_results, reports, rollups, run_requests, spend
from tasks.store.bot_insights import BotInsight
from tasks.store.bots import BotRow

FLOW = "report-fleet"
TOP_POSTS, PERSONAS_SHOWN = 10, 4
NOBODY = ("posts", "impressions", "engaged", "rate", "rate_low", "rate_high", "x_rate", "half_life_hours")


class Wish(BaseModel):
    """What a run is asked to report on: the bots with a label (absent: all that the asker may see), and so long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: Label | None = None
    days: Annotated[int, Field(ge=7, le=366)] | None = None


class BeyondRoleError(PermissionError):
    """The asker's role is for other labels."""


@dataclass(frozen=True)
class Made:
    """A report that was made: its id, what it is called, and what Prefect's page shows of it."""

    id: UUID
    title: str
    summary: str


async def make(at: Connections, run_request_id: UUID | None, flow_run_id: UUID) -> Made:
    """Make the report that a run was asked for, or, where nobody asked, that of the fleet. Raises BeyondRoleError."""
    async with at.transaction() as session:
        labels, days = await _wanted(session, run_request_id, flow_run_id, at.places.settings.metrics.report_days)
        until = (await base.now(session) - OLD_ENOUGH).astimezone(UTC)
        report_id = await reports.new_report_id(session)
        figures = await _figures(session, until, days, labels)
    drawn = fleet_report.pictures(figures)
    kept = timedelta(days=at.places.settings.metrics.reports_kept_days)
    async with at.transaction() as session:
        await reports.drop_older(session, kept)
        row = {
            "id": report_id,
            "labels": labels,
            "since": (until - timedelta(days=days)).date(),
            "until": until.date(),
            "figures": figures,
            "page": fleet_report.page(figures, drawn),
        }
        await reports.add(session, row, drawn)
    address = f"/api/v1/metrics/reports/{report_id}"
    return Made(report_id, figures["title"], fleet_report.summary(figures, address, list(drawn)))


async def _wanted(
    session: AsyncSession, run_request_id: UUID | None, flow_run_id: UUID, usual: int
) -> tuple[list[str] | None, int]:
    """Labels of the bots it is about (None: all), and how many days."""
    if run_request_id is None:
        return None, usual
    asked = await run_requests.take(session, run_request_id, FLOW, flow_run_id)
    wish = Wish.model_validate(asked.arguments)
    days = wish.days or usual
    if wish.label is None:
        return (None if asked.labels is None else sorted(asked.labels)), days
    if asked.labels is not None and wish.label not in asked.labels:
        raise BeyondRoleError(f"whoever asked has no role for the label {wish.label}")
    return [wish.label], days


async def _figures(session: AsyncSession, until: datetime, days: int, labels: list[str] | None) -> dict[str, Any]:
    since = until - timedelta(days=days)
    within = None if labels is None else frozenset(labels)
    rows = await bots.list_all(session, within=within)
    known = {one.bot: one for one in await bot_insights.of_bots(session, within)}
    results = pd.DataFrame(await post_results.by_day(session, since, until, labels))
    gains = pd.DataFrame(await rollups.of_fleet(session, since.date(), until.date(), labels))
    paid = await spend.by_bot(session, since.date(), until.date(), labels)
    top = await post_results.top(session, "engaged", since, until, labels, TOP_POSTS)
    told = _bots(rows, known, results, gains, paid)
    return {
        "title": "The fleet" if labels is None else f"Bots labelled {', '.join(labels)}",
        "made_at": f"{until + OLD_ENOUGH:%Y-%m-%d %H:%M}",
        "since": f"{since:%Y-%m-%d}",
        "until": f"{until:%Y-%m-%d}",
        "total": _total(results, sum(one["usd"] for one in told)),
        "bots": told,
        "sources": _compared(results, "source"),
        "templates": _compared(results, "template"),
        "followers": _followers(gains),
        "best_times": await _best_times(session, rows, told),
        "top": [
            {
                "bot": post.bot,
                "text": post.text,
                "published_at": f"{post.published_at.astimezone(UTC):%Y-%m-%d %H:%M}",
                "impressions": post.impressions,
                "engaged": post.engaged,
            }
            for post in top
        ],
    }


def _bots(
    rows: Sequence[BotRow],
    known: Mapping[str, BotInsight],
    results: pd.DataFrame,
    gains: pd.DataFrame,
    paid: Mapping[str, float],
) -> list[dict[str, Any]]:
    """Every bot that posted or cost anything, the most engaged first."""
    rated, lives, grown, gained = {}, {}, {}, {}
    if not results.empty:
        rated = {row["bot"]: row for row in records(engagement.rates(results, ["bot"]))}
        lives = engagement.half_lives(results).to_dict()
    if not gains.empty:
        grown = {row["bot"]: row for row in records(engagement.growth(gains))}
        gained = gains[list(engagement.PUBLIC_ACTIONS)].sum(axis=1).groupby(gains["bot"]).sum().to_dict()
    found = []
    for bot in rows:
        key = str(bot.id)
        rate, usd, insight = rated.get(key, {}), paid.get(key, 0.0), known.get(bot.handle)
        if not rate and not usd:
            continue
        verdict = insight.verdict if insight else "early"
        growth, did = grown.get(key, {}), float(gained.get(key, 0))
        life = lives.get(key)
        found.append(
            {
                "bot": bot.handle,
                **{name: rate.get(name) for name in NOBODY},
                "posts": rate.get("posts") or 0,
                "half_life_hours": None if life is None or pd.isna(life) else float(life),
                **{name: growth.get(name) for name in ("followers", "gained", "weekly")},
                "usd": usd,
                "usd_per_100": 100 * usd / did if did > 0 and usd else None,
                "verdict": verdict,
                "share": insight.share if insight else None,
                "advice": ADVICE[verdict],
            }
        )
    return sorted(found, key=lambda one: (-(one["engaged"] or 0), one["bot"].lower()))


def _total(results: pd.DataFrame, usd: float) -> dict[str, Any]:
    if results.empty:
        return {"posts": 0, "impressions": 0, "engaged": 0, "rate": None, "x_rate": None, "usd": usd}
    [row] = records(engagement.rates(results.assign(whole="all"), ["whole"]))
    return {**{name: row[name] for name in ("posts", "impressions", "engaged", "rate", "x_rate")}, "usd": usd}


def _compared(results: pd.DataFrame, by: str) -> list[dict[str, Any]]:
    if results.empty:
        return []
    names = ["posts", "rate", "rate_low", "rate_high", "against", "against_low", "against_high"]
    return [
        {"name": "(none)" if row[by] == "-" else row[by], **{name: row[name] for name in names}}
        for row in records(engagement.compared(results, by))
    ]


def _followers(gains: pd.DataFrame) -> list[dict[str, Any]]:
    """Followers of all bots by day; a day on which one was not read counts what it had last, or had first."""
    if gains.empty:
        return []
    by_day = gains.pivot_table(index="day", columns="bot", values="followers", aggfunc="last").sort_index()
    total = by_day.ffill().bfill().sum(axis=1)
    return [{"day": f"{day:%Y-%m-%d}", "followers": float(number)} for day, number in total.items()]


async def _best_times(
    session: AsyncSession, rows: Sequence[BotRow], told: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The weeks of the personas whose bots posted most."""
    posts = {one["bot"]: one["posts"] for one in told}
    by_persona: dict[str, list[BotRow]] = {}
    for bot in rows:
        by_persona.setdefault(bot.persona, []).append(bot)
    most = sorted(by_persona, key=lambda name: -sum(posts.get(bot.handle, 0) for bot in by_persona[name]))
    found = []
    for name in most[:PERSONAS_SHOWN]:
        if week := await best_times.of_bot(session, by_persona[name][0].id):
            found.append(
                {
                    "persona": name,
                    "zones": sorted({bot.time_zone for bot in by_persona[name]})[:3],
                    "lifts": [hour.lift for hour in week],
                    "sure": [hour.low > 1 or hour.high < 1 for hour in week],
                }
            )
    return found
