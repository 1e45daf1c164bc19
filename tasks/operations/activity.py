"""Notes who did what. A change goes to the audit, in its own transaction; what changed nothing to the activity log.

Both leave a line in the log file of their category.
"""

import logging
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from tasks.domain.audit import plain, shown
from tasks.domain.roles import Actor
from tasks.store import activity_log, audit

Category = Literal["activity", "security"]


async def note(
    session: AsyncSession,
    actor: Actor,
    action: str,
    subject: str,
    category: Category = "activity",
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    bot_id: UUID | None = None,
    **details: Any,
) -> None:
    """Audit one change: `action` is `<kind of thing>.<what was done>`.

    `before` and `after` are values of the thing; those that `FIELDS` does not allow are named, not kept. `details` hold
    ids, names and counts, never a secret and never a text of a post.
    """
    await audit.add(session, [_row(actor, action, subject, category, before, after, bot_id, details)])
    _log(actor, action, subject, category, details)


async def note_each(
    session: AsyncSession,
    actor: Actor,
    action: str,
    changes: Mapping[str, tuple[UUID, Mapping[str, Any]]],
    **details: Any,
) -> None:
    """Audit one change of many things, by subject each with its bot and its values afterwards: a row for each."""
    if changes:
        rows = [
            _row(actor, action, subject, "activity", None, after, bot_id, details)
            for subject, (bot_id, after) in changes.items()
        ]
        await audit.add(session, rows)
    _log(actor, action, f"{len(changes)} {action.partition('.')[0]}", "activity", details)


async def remark(
    session: AsyncSession, actor: Actor, action: str, subject: str, category: Category = "security", **details: Any
) -> None:
    """Note what changed nothing: a sign-in, a refusal, a secret that was looked at."""
    await activity_log.add(
        session, category=category, actor=actor.name, action=action, subject=subject, details=details
    )
    _log(actor, action, subject, category, details)


def _row(
    actor: Actor,
    action: str,
    subject: str,
    category: Category,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    bot_id: UUID | None,
    details: Mapping[str, Any],
) -> dict[str, Any]:
    kind = action.partition(".")[0]
    return {
        "category": category,
        "actor": actor.name,
        "actor_kind": actor.kind,
        "action": action,
        "subject": subject,
        "bot_id": bot_id,
        "before": shown(kind, before),
        "after": shown(kind, after),
        "details": plain(details),
    }


def _log(actor: Actor, action: str, subject: str, category: Category, details: Mapping[str, Any]) -> None:
    logging.getLogger(f"vivesphere.{category}").info(
        "%s %s", action, subject, extra={"actor": actor.name, "action": action, "subject": subject, "details": details}
    )
