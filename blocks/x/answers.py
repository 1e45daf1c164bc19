"""Opens what X answered: the wanted data as a value, or an error of `blocks.x.errors`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import ValidationError

from blocks.x.calls import Call, Caller, Latch, Reply
from blocks.x.errors import NoAnswer, XError, scrub
from blocks.x.limits import Limits
from blocks.x.refusals import from_answer, problem_of, refusal
from blocks.x.wire import Envelope, Includes, Meta, Problem

T = TypeVar("T")

_NOTHING = Includes()


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What X gave. `errors` are the parts of a lookup it could not give; `meta` is the place of a page in its list.

    `includes` holds what the data refers to. `first_byte_at` is when the first byte of the request was handed over.
    """

    data: T
    status: int
    limits: Limits
    first_byte_at: datetime
    errors: tuple[Problem, ...] = ()
    includes: Includes = _NOTHING
    meta: Meta | None = None


async def ask(
    at: Caller,
    call: Call,
    envelope: type[Envelope[T]],
    *,
    latch: Latch | None = None,
    deadline_seconds: float | None = None,
) -> Answer[T]:
    """Send, and open the answer; raises errors of `blocks.x.errors` and nothing else, save CancelledError."""
    reply = await at.call(call, latch=latch, deadline_seconds=deadline_seconds)
    if not 200 <= reply.status < 300:
        raise from_answer(
            reply.status,
            reply.body,
            headers=reply.headers,
            first_byte_at=reply.first_byte_at,
            repeatable=call.repeatable,
            secrets=call.hidden(),
        )
    outcome = _outcome(reply, call, envelope)
    if isinstance(outcome, XError):
        # Raised here, where no local holds what X said: it may have repeated a token.
        raise outcome
    return outcome


def _outcome(reply: Reply, call: Call, envelope: type[Envelope[T]]) -> Answer[T] | XError:
    told = _opened(reply.body, envelope)
    data = None if told is None else told.kept()
    if told is None or data is None:
        return _without_data(reply, call, told)
    return Answer(
        data,
        reply.status,
        Limits.of(reply.headers.raw),
        reply.first_byte_at,
        tuple(told.errors),
        told.includes or _NOTHING,
        told.meta,
    )


def _opened(body: bytes, envelope: type[Envelope[T]]) -> Envelope[T] | None:
    # The content type is not asked: the body alone shows whether this is X's answer.
    try:
        return envelope.model_validate_json(body)
    except ValidationError:
        return None


def _without_data(reply: Reply, call: Call, told: Envelope[T] | None) -> XError:
    """A 2xx without what was asked for: errors alone refuse a read; a create may well have been carried out."""
    limits = Limits.of(reply.headers.raw)
    if told is not None and told.errors and call.repeatable:
        first = told.errors[0]
        problem, detail = problem_of(first.type, call.hidden()), scrub(first.detail or first.title or "", call.hidden())
        return refusal(problem, detail)(
            detail, problem=problem, status=reply.status, limits=limits, first_byte_at=reply.first_byte_at
        )
    return NoAnswer(
        "X says it is done, but its answer cannot be read",
        problem="unreadable-answer",
        status=reply.status,
        limits=limits,
        first_byte_at=reply.first_byte_at,
        retryable=call.repeatable,
    )
