"""Cursors: where a page ended, in a form that nobody has to understand."""

import base64
import binascii
from datetime import datetime
from uuid import UUID

from deployments.gateway.problems import ProblemError


def cursor(due_at: datetime, post_id: UUID) -> str:
    """The place after a post."""
    return base64.urlsafe_b64encode(f"{due_at.isoformat()} {post_id}".encode()).decode().rstrip("=")


def place(text: str) -> tuple[datetime, UUID]:
    """What `cursor` was made of; raises 422 for any other text."""
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        due_at, _, post_id = plain.rpartition(" ")
        found = datetime.fromisoformat(due_at), UUID(post_id)
    except (binascii.Error, ValueError):
        found = None
    if found is None or found[0].tzinfo is None:
        raise ProblemError(422, "invalid-request", "query.cursor: write a cursor of an earlier page, or none")
    return found
