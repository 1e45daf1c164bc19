"""Reads an answer that does not carry what was asked for: which error is it, and what does X say about it."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from blocks.x.errors import (
    Duplicate,
    Exhausted,
    InvalidGrant,
    NoAnswer,
    Refused,
    Suspended,
    Throttled,
    Unauthorized,
    XError,
    scrub,
)
from blocks.x.limits import Limits


def from_answer(
    status: int,
    body: bytes,
    *,
    headers: httpx.Headers,
    first_byte_at: datetime,
    repeatable: bool,
    secrets: Iterable[str] = (),
) -> XError:
    """The error that an answer without the wanted data is."""
    reason = _Reason.of(body, tuple(secrets))
    limits = Limits.of(headers.raw)
    kind = _kind(status, reason)
    return kind(
        reason.detail or _WITHOUT_WORDS.get(kind, "X gave no reason"),
        problem="unreadable-answer" if kind is NoAnswer and not reason.readable else reason.problem,
        status=status,
        retry_at=_retry_at(headers, limits, first_byte_at) if kind is Throttled else None,
        limits=limits,
        first_byte_at=first_byte_at,
        retryable=repeatable if kind is NoAnswer else None,
    )


_WITHOUT_WORDS: Mapping[type[XError], str] = {
    NoAnswer: "an answer came that is not one of the X API, so what became of the request is not known",
    Unauthorized: "X does not take these credentials",
}


def _kind(status: int, reason: "_Reason") -> type[XError]:
    # These three are refusals by the status alone, whoever wrote the body.
    if status == 429:
        return Exhausted if reason.problem == "usage-capped" else Throttled
    if status == 401:
        return Unauthorized
    if status == 402:
        return Exhausted
    # Any other page in front of X (Cloudflare's is HTML) tells nothing about what X did behind it, and neither
    # does 408, which an edge also gives for an origin that was too slow. A look at the timeline costs less
    # than a double post or a lost one.
    if not 400 <= status < 500 or status == 408 or not reason.readable:
        return NoAnswer
    return refusal(reason.problem, reason.detail)


def refusal(problem: str | None, detail: str | None) -> type[Refused]:
    """Which refusal it is. X has no type for a duplicate nor always for an account that it has suspended or locked, and
    calls some spent grants invalid requests."""
    words = (detail or "").casefold()
    if problem == "invalid_grant" or (problem == "invalid_request" and _SPENT_GRANT.search(words)):
        return InvalidGrant
    if problem == "code-187" or "duplicate content" in words:
        return Duplicate
    if problem in ("user-suspended", "code-64", "code-326") or _SILENCED_ACCOUNT.search(words):
        return Suspended
    return Refused


# Codes 64 and 326 of X's older versions say the first and the last of these.
_SILENCED_ACCOUNT = re.compile(r"\b(your account|user) is suspended\b|\baccount is (temporarily )?locked\b")
_SPENT_GRANT = re.compile(r"value passed for the (token|authorization code) was invalid")


@dataclass(frozen=True)
class _Reason:
    """What the body of an error says, in any of X's four shapes: a problem, `errors`, a code, or OAuth's."""

    readable: bool
    problem: str | None = None
    detail: str | None = None

    @classmethod
    def of(cls, body: bytes, secrets: tuple[str, ...]) -> "_Reason":
        try:
            told = json.loads(body) if body.strip() else {}
        except (ValueError, RecursionError):
            return cls(readable=False)
        if not isinstance(told, dict):
            return cls(readable=False)
        listed = told.get("errors")
        first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
        both = {**first, **told}
        detail = next(
            (
                both[key]
                for key in ("detail", "error_description", "message", "title")
                if isinstance(both.get(key), str)
            ),
            None,
        )
        problem = problem_of(both.get("type"), secrets) or problem_of(both.get("error"), secrets)
        if problem is None and isinstance(both.get("code"), int):
            problem = f"code-{both['code']}"
        return cls(
            readable=True,
            problem=problem,
            detail=None if detail is None else scrub(detail, secrets),
        )


def problem_of(kind: object, secrets: Iterable[str] = ()) -> str | None:
    """The last path segment of a problem type, whichever host it stands under; None for about:blank."""
    if not isinstance(kind, str) or kind == "about:blank":
        return None
    segment = kind.rstrip("/").rpartition("/")[2]
    plain = re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", segment) and not any(secret in segment for secret in secrets)
    return segment if plain else None


def _retry_at(headers: httpx.Headers, limits: Limits, now: datetime) -> datetime | None:
    spent = [window.reset_at for window in limits.told() if window.remaining == 0 and window.reset_at is not None]
    if spent:
        return max(spent)
    after = headers.get("retry-after", "")
    if after.isdecimal() and len(after) <= 9:
        return now + timedelta(seconds=int(after))
    try:
        return parsedate_to_datetime(after).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return limits.rate.reset_at if limits.rate else None
