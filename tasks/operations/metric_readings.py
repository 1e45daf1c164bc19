"""One lookup of counts at X: reserved with the governor, opened, and paid for by what it brought."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from blocks.x.answers import Answer
from blocks.x.errors import NoAnswer, Suspended, Unauthorized, XError
from blocks.x.insights import MeasuredPost, MeasuredUser
from blocks.x.refusals import problem_of
from blocks.x.signing import Authorization
from tasks.connections import Connections
from tasks.domain.sampling import ABSENCES, Absence
from tasks.operations import breakers, governor
from tasks.operations.credentials import AccessTokens
from tasks.operations.governor import NotNow

Measured = TypeVar("Measured", MeasuredPost, MeasuredUser)
# X says of an account that it is suspended in a sentence and has no type for it.
SUSPENDED = "suspended"


@dataclass(frozen=True)
class Reader:
    """The bot that asks, and by what."""

    bot_id: UUID
    x_app_id: UUID | None
    token: Authorization


@dataclass
class Reading:
    """What a lookup brought, by id; `problem` says why the ids that stand nowhere here were not read, `retry_at` when
    they may be. `observed_at` is None where X was not asked."""

    found: dict[str, object] = field(default_factory=dict)
    absent: dict[str, Absence] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    observed_at: datetime | None = None
    problem: str | None = None
    retry_at: datetime | None = None
    reader_suspended: bool = False
    calls: int = 0
    billed: int = 0


async def read(
    at: Connections,
    endpoint: str,
    reader: Reader,
    paid: Mapping[str, bool],
    ask: Callable[[Authorization, Sequence[str]], Awaitable[Answer[list[Measured]]]],
) -> Reading:
    """Ask for ids (at most a hundred), each with whether X has charged for it today already.

    Where there is no money for those that it would charge for, the others are read alone.
    """
    ids, reading = list(paid), Reading()
    granted = await governor.reserve(
        at, reader.x_app_id, reader.bot_id, endpoint, resources=sum(not paid[one] for one in ids)
    )
    if isinstance(granted, NotNow):
        reading.problem, reading.retry_at = granted.reason, granted.until
        ids = [one for one in ids if paid[one]]
        if not ids:
            return reading
        granted = await governor.reserve(at, reader.x_app_id, reader.bot_id, endpoint, resources=0)
        if isinstance(granted, NotNow):
            return reading
    reading.calls = 1
    try:
        answer = await ask(reader.token, ids)
    except XError as error:
        if isinstance(error, Unauthorized):
            at.kept(AccessTokens, AccessTokens).forget(reader.bot_id)
        # What became of a request without an answer X alone knows: it stays booked.
        if granted.resources and not isinstance(error, NoAnswer):
            await governor.used(at, granted, 0)
        reading.problem, reading.retry_at = str(error), error.retry_at
        reading.reader_suspended = isinstance(error, Suspended)
        await breakers.heed_read(at, reader.bot_id, error)
        return reading
    reading.observed_at = granted.at
    reading.found = {one.id: one for one in answer.data}
    for problem in answer.errors:
        named, absence = problem.resource_id or problem.value, ABSENCES.get(problem_of(problem.type) or "")
        if named and absence:
            reading.absent[named] = absence
            if SUSPENDED in (problem.detail or "").casefold():
                reading.suspended.add(named)
    reading.billed = sum(not paid[one] for one in reading.found if one in paid)
    if reading.billed != granted.resources:
        await governor.used(at, granted, reading.billed)
    return reading
