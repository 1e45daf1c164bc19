"""Deletions honoured: what is gone from X is erased here, too."""

from dataclasses import dataclass
from datetime import timedelta

from tasks.connections import Connections
from tasks.domain.roles import system
from tasks.operations import activity
from tasks.store import deletions, metrics, post_results, sampling

BATCH = 500


@dataclass(frozen=True)
class Erased:
    """How many posts were gone, and how many snapshots and texts went with them."""

    posts: int = 0
    snapshots: int = 0
    texts: int = 0


async def honour(at: Connections) -> Erased:
    """Erase what X said of every post that has been deleted, suspended or protected for a while, and the text of those
    that are deleted. A batch is one transaction: what was begun is done, or is due again."""
    after = timedelta(seconds=at.places.settings.metrics.erase_after_seconds)
    total = Erased()
    while True:
        async with at.transaction() as session:
            gone = await sampling.take_gone(session, after, BATCH)
            if not gone:
                return total
            snapshots = await metrics.erase(session, list(gone))
            await post_results.erase(session, list(gone))
            deleted = [post_id for post_id, fate in gone.items() if fate == "deleted"]
            texts = await deletions.erase_texts(session, deleted)
            await sampling.erased(session, gone)
            for post_id, fate in gone.items():
                await activity.note(session, system("deletions"), "posts.erase", str(post_id), fate=fate)
        total = Erased(total.posts + len(gone), total.snapshots + snapshots, total.texts + texts)
