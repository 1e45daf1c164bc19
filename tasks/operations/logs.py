"""The log: lines that programs hand in, and everything that was noted, to be searched."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from config.logs import cleaned
from tasks.connections import Connections
from tasks.domain.roles import Actor
from tasks.store import activity_log, logs
from tasks.store.logs import Line, Place, Wanted

LogType = Literal["user_activity", "debug", "security"]
CATEGORIES: Mapping[LogType, str] = {"user_activity": "activity", "debug": "debug", "security": "security"}
# What a line that was handed in is called, so that nobody takes it for one of ours.
ACTION = "logs.submit"


async def submit(at: Connections, log_type: LogType, data: Mapping[str, Any], actor: Actor) -> None:
    """Keep a line as its sender's word, without what looks like a credential."""
    category = CATEGORIES[log_type]
    details = cleaned(data)
    async with at.transaction() as session:
        await activity_log.add(
            session, category=category, actor=actor.name, action=ACTION, subject=log_type, details=details
        )
    logging.getLogger(f"vivesphere.{category}").info(
        ACTION, extra={"actor": actor.name, "action": ACTION, "subject": log_type, "details": details}
    )


async def page(at: Connections, wanted: Wanted, before: Place | None, limit: int) -> Sequence[Line]:
    """Lines from the newest downwards."""
    async with at.transaction() as session:
        return await logs.page(session, wanted, before, limit)
