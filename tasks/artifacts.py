"""What the Prefect UI shows beside logs; best effort, because a page must never cost a post."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)

from tasks.operations.delivery import Published, Window
from tasks.operations.feeds import Reading
from tasks.operations.metric_batches import Collected
from tasks.operations.metric_plan import Plan
from tasks.operations.planning import Calendar
from tasks.operations.reconciliation import Reviewed
from tasks.operations.rotation.recipe import Done as Rotation
from tasks.operations.rotation.x_user_tokens import Rotated
from tasks.reports import posting_run
from tasks.reports.posting_run import Done
from tasks.store.notifications import DeliveryRow

T = TypeVar("T")

log = logging.getLogger("vivesphere.debug")

# How often the bar moves, and how long a call to Prefect's server may take before it is given up.
DRAW_SECONDS = 3.0
CALL_SECONDS = 5.0
# Rows of a calendar on one page.
CALENDAR_ROWS = 500


@asynccontextmanager
async def progress(window: Window) -> AsyncIterator[None]:
    """A bar on the run's page for as long as the block runs: posts that ended, of those that were taken.

    It is drawn beside the work, and only once there is something to draw.
    """
    bar = _Bar(window)
    drawing = asyncio.create_task(bar.draw_again_and_again())
    try:
        yield
    finally:
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)
        await bar.draw()


async def show_summary(results: Sequence[Published]) -> None:
    """How many posts ended where and why, and how late they were."""
    done = [Done(sent.status, sent.reason, sent.lateness_seconds, sent.usd) for one in results for sent in one.sent]
    if done:
        await _tried(acreate_markdown_artifact(posting_run.summary(done), key="published-posts"))


async def show_refreshes(found: Sequence[Rotated]) -> None:
    """A table of the bots whose tokens were looked at, those that need a person first."""
    order = ("needs_login", "conflict", "waiting", "refreshed", "fresh")
    rows = [
        {"bot": f"@{one.handle}", "tokens": one.state, "why": one.said}
        for one in sorted(found, key=lambda one: (order.index(one.state), one.handle))
    ]
    description = "What became of each bot's tokens."
    await _tried(acreate_table_artifact(rows, key="refreshed-tokens", description=description))


async def show_rotation(done: Sequence[Rotation]) -> None:
    """A table of the credentials that were rotated, in the order of the plan."""
    rows = [{"kind": one.kind, "credential": one.subject, "found": one.found, "why": one.said} for one in done]
    await _tried(acreate_table_artifact(rows, key="rotated-credentials", description="What became of each credential."))


async def show_reviewed(reviewed: Sequence[Reviewed]) -> None:
    """A table of posts whose answer was lost: what was seen of each, what that led to, and why."""
    if not reviewed:
        return
    rows = [
        {
            "bot": f"@{one.handle}",
            "post": str(one.post_id),
            "seen": one.seen,
            "on X": ", ".join(one.x_post_ids),
            "decision": one.verdict,
            "why": one.reason,
        }
        for one in reviewed
    ]
    await _tried(acreate_table_artifact(rows, key="posts-in-doubt", description="Where each post stands now."))


async def show_collected(plan: Plan, done: Collected, hours: int) -> None:
    """A table of what was read of each app's bots, what that cost, and what waits."""
    rows = [
        {
            "app": app.app or "-",
            "accounts": app.accounts,
            "posts": app.posts,
            "waiting for money": app.put_off,
            "USD": str(app.usd),
            "USD left for today": "-" if app.allowance_usd is None else f"{app.allowance_usd - app.usd:.3f}",
        }
        for app in plan.apps
    ]
    said = (
        f"{done.snapshots} snapshots by {done.calls} requests, {hours} hours of bots rolled up."
        f" Gone: {_counted(done.gone)}. Waiting: {_counted(done.waiting)}."
    )
    await _tried(acreate_table_artifact(rows, key="collected-metrics", description=said))


async def show_notifications(told: Sequence[DeliveryRow]) -> None:
    """A table of what operators were told in this run, and where."""
    rows = [
        {
            "channel": one.channel,
            "what": one.alarm["title"],
            "state": one.state,
            "tries": one.tries,
            "why not": one.problem,
        }
        for one in told
    ]
    if rows:
        await _tried(acreate_table_artifact(rows, key="told-operators", description="What operators were told."))


async def show_calendar(calendar: Calendar) -> None:
    """A table of the posts that were planned, with what each costs, or why it was not taken."""
    rows = [
        {
            "due (UTC)": f"{one.planned.due_at:%Y-%m-%d %H:%M:%S}",
            "bot": f"@{one.planned.bot}",
            "from": f"{one.planned.name.kind} {one.planned.template}",
            "text": one.planned.text,
            "USD": str(one.receipt.cost_usd or ""),
            "result": one.receipt.result,
            "why": "; ".join(one.receipt.reasons),
        }
        for one in calendar.entries[:CALENDAR_ROWS]
    ]
    more = len(calendar.entries) - len(rows)
    said = f"{len(calendar.entries)} posts for {calendar.usd} USD.{f' {more} more are not shown.' if more else ''}"
    if rows:
        await _tried(acreate_table_artifact(rows, key="planned-posts", description=said))


async def show_feeds(found: Sequence[Reading]) -> None:
    """A table of feeds: what became drafts, what was refused, what could not be read."""
    rows = [
        {
            "feed": one.feed.name,
            "bot": f"@{one.feed.bot}",
            "drafts": one.planned,
            "refused": "; ".join(one.refused),
            "problem": one.problem,
        }
        for one in found
    ]
    if rows:
        await _tried(acreate_table_artifact(rows, key="read-feeds", description="What each feed brought."))


async def show_trend_sources(rows: Sequence[Mapping[str, str | int]]) -> None:
    """A table of the sources of trends that were read: what each gave, or why it gave nothing."""
    said = "What each source of trends gave in this run; `vivesphere trends sources` shows when it was good last."
    await _tried(acreate_table_artifact([dict(row) for row in rows], key="trend-sources", description=said))


async def show_rising_trends(summary: str) -> None:
    """What rises, as Markdown, with a picture that the gateway serves."""
    await _tried(acreate_markdown_artifact(summary, key="rising-trends"))


async def show_report(summary: str) -> None:
    """The report as Markdown, with pictures that the gateway serves."""
    await _tried(acreate_markdown_artifact(summary, key="fleet-report", description="What posts and bots achieved."))


def _counted(counted: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counted.most_common()) or "none"


@dataclass
class _Bar:
    window: Window
    _id: UUID | None = None
    _drawn: tuple[int, int] = (0, 0)

    async def draw_again_and_again(self) -> None:
        while True:
            await self.draw()
            await asyncio.sleep(DRAW_SECONDS)

    async def draw(self) -> None:
        taken, ended = self.window.taken, self.window.ended
        if (taken, ended) == self._drawn:
            return
        said, share = f"{ended} of {taken} posts that this run took have ended", 100 * ended / taken
        if self._id is None:
            self._id = await _tried(acreate_progress_artifact(share, "posting-progress", said))
        else:
            await _tried(aupdate_progress_artifact(self._id, share, said))
        self._drawn = (taken, ended)


async def _tried(call: Awaitable[T]) -> T | None:
    """What a call answers; None where it failed or took too long."""
    try:
        return await asyncio.wait_for(call, CALL_SECONDS)
    except Exception as error:  # noqa: BLE001  # whatever Prefect's client raises: no post waits for a page
        log.warning("the run's page could not be drawn: %s", type(error).__name__)
        return None
