"""What the Prefect UI shows beside logs; best effort, because a page must never cost a post."""

import logging
from collections.abc import Sequence

from prefect.artifacts import acreate_table_artifact

from tasks.operations import delivery
from tasks.operations.delivery import Published
from tasks.operations.rotation.x_user_tokens import Rotated

log = logging.getLogger("vivesphere.debug")


async def show_summary(results: Sequence[Published]) -> None:
    """A table of how many posts ended in each status, and how late they were."""
    late = sorted(sent.lateness_seconds for one in results for sent in one.sent if sent.lateness_seconds is not None)
    counted = delivery.summary(results)
    if not counted:
        return
    rows = [{"status": status, "posts": number} for status, number in counted.most_common()]
    middle, worst = (late[len(late) // 2], late[-1]) if late else (0.0, 0.0)
    try:
        await acreate_table_artifact(
            rows,
            key="published-posts",
            description=f"First byte after the instant: p50 {middle * 1000:.0f} ms, most {worst * 1000:.0f} ms.",
        )
    except Exception as error:  # noqa: BLE001  # whatever Prefect's client raises, the posts are out already
        log.warning("the run's table could not be shown: %s", type(error).__name__)


async def show_rotation(found: Sequence[Rotated]) -> None:
    """A table of the bots whose tokens were looked at, those that need a person first."""
    order = ("needs_login", "conflict", "waiting", "refreshed", "fresh")
    rows = [
        {"bot": f"@{one.handle}", "tokens": one.state, "why": one.said}
        for one in sorted(found, key=lambda one: (order.index(one.state), one.handle))
    ]
    try:
        await acreate_table_artifact(rows, key="refreshed-tokens", description="What became of each bot's tokens.")
    except Exception as error:  # noqa: BLE001  # whatever Prefect's client raises, the tokens are refreshed already
        log.warning("the run's table could not be shown: %s", type(error).__name__)
