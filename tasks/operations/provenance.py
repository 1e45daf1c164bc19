"""Why a post went out, or did not: everything that is known of it, told in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from tasks.connections import Connections
from tasks.domain.story import Story, Told, tell
from tasks.operations import gate
from tasks.operations.delivery import BEATS_MISSED
from tasks.operations.posts import NoSuchPostError
from tasks.store import base, provenance, verdicts


@dataclass(frozen=True)
class Why:
    """A post and its story."""

    post: Mapping[str, Any]
    story: Story


async def why(at: Connections, post_id: UUID, labels: frozenset[str] | None = None) -> Why:
    """The whole story of one post, of a bot with one of these labels; raises NoSuchPostError."""
    beat = at.places.settings.posting.beat_seconds
    async with at.transaction() as session:
        post = await provenance.post(session, post_id)
        if post is None or (labels is not None and labels.isdisjoint(post["labels"])):
            raise NoSuchPostError(str(post_id))
        told = Told(
            post,
            await base.now(session),
            gate.in_force(at).version,
            verdicts=await verdicts.of_post(session, post_id),
            attempts=await provenance.attempts(session, post_id),
            looks=await provenance.looks(session, post_id),
            changes=await provenance.changes(session, post_id),
            silences=await provenance.silences(session, post["bot_id"]),
            senders_alive=await provenance.senders_alive(session, timedelta(seconds=BEATS_MISSED * beat)),
        )
    return Why(post, tell(told))
