"""Results of posts as a season leaves them, written straight into the tables."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks.store import metrics, post_results, rollups
from tasks.store.base import now

DAYS = 70


async def a_season(session: AsyncSession, bots: Sequence[UUID], limited: UUID | None = None) -> datetime:
    """Two posts a day of each bot for ten weeks, at eight and at twenty o'clock UTC; twenty is twice as good, and so is
    the template "question". Followers grow by one in a hundred a week. What `limited` has said in its last week is seen
    by a tenth. Answers the end of it."""
    random = np.random.default_rng(7)
    until = await now(session)
    today = until.replace(hour=0, minute=0, second=0, microsecond=0)
    await metrics.make_months(session, (today - timedelta(days=DAYS + 2)).date(), today.date())
    posts, days = [], []
    for number, bot in enumerate(bots):
        for age in range(2, DAYS):
            day = today - timedelta(days=age)
            for hour in (8, 20):
                seen = 200 * (number + 1) * (2 if hour == 20 else 1) * float(random.lognormal(0, 0.4))
                seen *= 0.1 if bot == limited and age <= 8 else 1
                template = ("plain", "question")[int(random.integers(2))]
                did = int(random.poisson(seen * (0.04 if template == "question" else 0.02)))
                posts.append(
                    {
                        "post_id": uuid4(),
                        "bot_id": bot,
                        "published_at": day + timedelta(hours=hour),
                        "source": "csv",
                        "template": template,
                        "measured_at": day + timedelta(hours=hour + 24),
                        "impressions": int(seen),
                        "engaged": did,
                        "engagements": 2 * did,
                        **{f"seen_{hours}h": int(seen * (1 - 0.5 ** (hours / 2))) for hours in (1, 3, 6, 12)},
                    }
                )
            gained = {name: 1 for name in rollups.MEASURES}
            followers = int(1000 * (number + 1) * 1.01 ** ((DAYS - age) / 7))
            days.append({"bot_id": bot, "day": day.date(), "snapshots": 1, **gained, "followers": followers})
    await session.execute(insert(post_results.post_results), posts)
    await session.execute(insert(rollups.bot_metrics_daily), days)
    return until
