"""Notes who did what: a row in the transaction of the change, a line in the log file."""

import logging
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.roles import Actor
from tasks.store import activity_log

Category = Literal["activity", "security"]


async def note(
    session: AsyncSession, actor: Actor, action: str, subject: str, category: Category = "activity", **details: Any
) -> None:
    """Note one change; `details` hold ids, names and counts, never a secret and never a text of a post."""
    await activity_log.add(
        session, category=category, actor=actor.name, action=action, subject=subject, details=details
    )
    logging.getLogger(f"vivesphere.{category}").info(
        "%s %s", action, subject, extra={"actor": actor.name, "action": action, "subject": subject, "details": details}
    )
