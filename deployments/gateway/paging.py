"""Cursors: where a page ended, in a form that nobody has to understand.

A page goes on after a row, never after a number of rows: what comes or goes meanwhile neither repeats nor hides others.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Query, Request, Response

from deployments.gateway.problems import ProblemError
from tasks.store.logs import Place

T = TypeVar("T")

NAMES_MAX = 1000
CURSOR_CHARACTERS_MAX = 1000

Cursor = Annotated[str | None, Query(max_length=CURSOR_CHARACTERS_MAX, description="Where the page before it ended.")]


def cursor(due_at: datetime, post_id: UUID) -> str:
    """The place after a post."""
    return _written([due_at.isoformat(), str(post_id)])


def place(text: str) -> tuple[datetime, UUID]:
    """What `cursor` was made of; raises 422 for any other text."""
    due_at, post_id = _read(text, 2)
    return _instant(due_at), _made(UUID, post_id)


def line_cursor(after: Place) -> str:
    """The place after a line of the log."""
    return _written([after.at.isoformat(), after.origin, after.id])


def line_place(text: str) -> Place:
    """What `line_cursor` was made of; raises 422 for any other text."""
    at, origin, number = _read(text, 3)
    if origin not in ("activity", "audit") or not isinstance(number, int) or not 0 < number < 2**63:
        raise _no_cursor()
    return Place(_instant(at), origin, number)


class ByName:
    """A part of a list in the order of names; the Link header of the answer leads to the next one (RFC 8288)."""

    def __init__(
        self,
        request: Request,
        response: Response,
        cursor: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=NAMES_MAX)] = 100,
    ) -> None:
        self._request = request
        self._response = response
        self.limit = limit
        self.after = _made(str, *_read(cursor, 1)) if cursor else None

    def shown(self, rows: Sequence[T], name: Callable[[T], str]) -> Sequence[T]:
        """The rows of this part, of `limit` + 1 that were looked up after `after`."""
        if len(rows) > self.limit:
            self._response.headers["Link"] = f'<{self._next(name(rows[self.limit - 1]))}>; rel="next"'
        return rows[: self.limit]

    def cut(self, rows: Sequence[T], name: Callable[[T], str]) -> Sequence[T]:
        """As `shown`, of all rows there are."""
        ordered = sorted(rows, key=name)
        rest = [row for row in ordered if self.after is None or name(row) > self.after]
        return self.shown(rest[: self.limit + 1], name)

    def _next(self, name: str) -> str:
        url = self._request.url.include_query_params(cursor=_written([name]), limit=self.limit)
        return f"{url.path}?{url.query}"


def _written(parts: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def _read(text: str, length: int) -> list[Any]:
    try:
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _no_cursor() from None
    if not isinstance(found, list) or len(found) != length:
        raise _no_cursor()
    return found


def _made(kind: type[T], text: Any) -> T:
    try:
        if isinstance(text, str) and "\0" not in text:
            return kind(text)  # type: ignore[call-arg]  # str and UUID both take one
    except ValueError:
        pass
    raise _no_cursor()


def _instant(text: Any) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise _no_cursor() from None
    if found.tzinfo is None:
        raise _no_cursor()
    return found


def _no_cursor() -> ProblemError:
    return ProblemError(422, "invalid-request", "query.cursor: write a cursor of an earlier page, or none")
