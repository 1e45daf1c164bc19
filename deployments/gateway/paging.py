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
from tasks.operations.runs import After
from tasks.store.logs import Place

T = TypeVar("T")

NAMES_MAX = 1000
AGES_MAX = 200
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


class _Part:
    """A part of a list; the Link header of the answer leads to the next one (RFC 8288)."""

    def __init__(self, request: Request, response: Response, limit: int) -> None:
        self._request = request
        self._response = response
        self.limit = limit

    def lead(self, place: list[str]) -> None:
        """Tell where the next part begins."""
        url = self._request.url.include_query_params(cursor=_written(place), limit=self.limit)
        self._response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'


class ByName(_Part):
    """A part of a list in the order of names."""

    def __init__(
        self,
        request: Request,
        response: Response,
        cursor: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=NAMES_MAX)] = 100,
    ) -> None:
        super().__init__(request, response, limit)
        self.after = _made(str, *_read(cursor, 1)) if cursor else None

    def shown(self, rows: Sequence[T], name: Callable[[T], str]) -> Sequence[T]:
        """The rows of this part, of `limit` + 1 that were looked up after `after`."""
        if len(rows) > self.limit:
            self.lead([name(rows[self.limit - 1])])
        return rows[: self.limit]

    def cut(self, rows: Sequence[T], name: Callable[[T], str]) -> Sequence[T]:
        """As `shown`, of all rows there are."""
        ordered = sorted(rows, key=name)
        rest = [row for row in ordered if self.after is None or name(row) > self.after]
        return self.shown(rest[: self.limit + 1], name)


class ByAge(_Part):
    """A part of a list in which the latest comes first."""

    def __init__(
        self,
        request: Request,
        response: Response,
        cursor: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=AGES_MAX)] = 20,
    ) -> None:
        super().__init__(request, response, limit)
        self._place = _read(cursor, None) if cursor else []

    @property
    def after_id(self) -> UUID | None:
        """The last thing of the part before, in a list whose place is an id."""
        if not self._place:
            return None
        if len(self._place) > 1:
            raise _no_cursor()
        return _made(UUID, self._place[0])

    @property
    def after_run(self) -> After | None:
        """The last run of the part before."""
        if not self._place:
            return None
        started_at, *run_ids = self._place
        if not run_ids:
            raise _no_cursor()
        return After(_instant(started_at) if started_at else None, tuple(_made(UUID, run_id) for run_id in run_ids))

    def shown(self, rows: Sequence[T], place: Callable[[T], list[str]]) -> Sequence[T]:
        """The rows of this part, of `limit` + 1 that were looked up; `place` is the cursor that goes on after one."""
        if len(rows) > self.limit:
            self.lead(place(rows[self.limit - 1]))
        return rows[: self.limit]


def _written(parts: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def _read(text: str, length: int | None) -> list[Any]:
    try:
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _no_cursor() from None
    if not isinstance(found, list) or not found or length not in (None, len(found)):
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
