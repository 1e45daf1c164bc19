"""What the Prefect UI shows beside logs; best effort, because a page must never cost a post."""

import logging
from collections.abc import Sequence

from prefect.artifacts import acreate_table_artifact

from tasks.operations import delivery
from tasks.operations.delivery import Published

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
