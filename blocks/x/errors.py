"""What can go wrong with a request to X.

XError             retryable  outcome_known
├─ NotSent         yes        yes    the first byte was never handed over
├─ NoAnswer        no (1)     no     it left; no complete, valid answer of X came back, or 5xx
├─ Throttled       yes        yes    429; `retry_at` says when
├─ Exhausted       no         yes    402, or 429 usage-capped: until the month turns or a person pays
├─ Unauthorized    no         yes    401: X does not take this token, or these client credentials
└─ Refused         no         yes    4xx; `problem` names X's type
   ├─ Duplicate    no         yes    403: this account has said the same already
   ├─ Suspended    no         yes    403: X has suspended or locked the account
   └─ InvalidGrant no         yes    400: the code or refresh token is spent, expired or revoked

(1) yes where asking again changes nothing more: reads, deletions, revocations.

Whether a request was sent is never read from an exception's type: httpcore swallows write errors and reads on.
"""

import re
import ssl
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import httpcore
import httpx

from blocks.x.limits import Limits

DETAIL_CHARACTERS_MAX = 500


class XError(Exception):
    """A request to X that did not bring what was asked for.

    `problem` is the last path segment of X's problem type, or one of our own words (`CAUSES`, "latch",
    "unreadable-answer") where X gave none. `status`, `limits` and `first_byte_at` are None where they are not
    known. `detail` is for people; it never carries a credential.
    """

    retryable = False
    outcome_known = True

    def __init__(
        self,
        detail: str,
        *,
        problem: str | None = None,
        status: int | None = None,
        retry_at: datetime | None = None,
        limits: Limits | None = None,
        first_byte_at: datetime | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problem = problem
        self.status = status
        self.retry_at = retry_at
        self.limits = limits
        self.first_byte_at = first_byte_at
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        facts = [str(fact) for fact in (self.status, self.problem) if fact is not None]
        return f"{type(self).__name__} ({', '.join(facts)}): {self.detail}" if facts else self.detail


class NotSent(XError):
    """The first byte was never handed over, so X knows nothing of it."""

    retryable = True


class NoAnswer(XError):
    """The request left, and what X made of it is not known."""

    outcome_known = False


class Throttled(XError):
    """429: too many requests; `retry_at` is None where X did not say."""

    retryable = True


class Exhausted(XError):
    """402 or 429 usage-capped: paid for no longer; waiting for the rate window does not help."""


class Unauthorized(XError):
    """401: X does not take this token, or these client credentials."""


class Refused(XError):
    """4xx: X understood and said no."""


class Duplicate(Refused):
    """403: this account has said the same already. On a resend a reason to look again, never proof."""


class Suspended(Refused):
    """403: X has suspended or locked the account."""


class InvalidGrant(Refused):
    """400: the code or refresh token is spent, expired or revoked."""


_FAULTS: Mapping[str, tuple[type[Exception], ...]] = {
    "deadline": (TimeoutError, httpcore.TimeoutException, httpx.TimeoutException),
    "no-lane": (httpcore.PoolTimeout, httpx.PoolTimeout, httpcore.ConnectionNotAvailable),
    "connect-timeout": (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    "connect-failed": (httpcore.ConnectError, httpx.ConnectError, httpcore.ProxyError, httpx.ProxyError),
    "tls-failed": (ssl.SSLError,),
    "read-failed": (httpcore.ReadError, httpx.ReadError, httpcore.ReadTimeout, httpx.ReadTimeout),
    "write-failed": (httpcore.WriteError, httpx.WriteError, httpcore.WriteTimeout, httpx.WriteTimeout),
    "network-failed": (OSError, httpcore.NetworkError, httpx.NetworkError, httpx.CloseError, httpx.TransportError),
    "answer-malformed": (
        httpcore.ProtocolError,
        httpx.ProtocolError,
        httpcore.RemoteProtocolError,
        httpx.RemoteProtocolError,
        httpx.DecodingError,
    ),
    "request-malformed": (
        httpcore.LocalProtocolError,
        httpx.LocalProtocolError,
        httpcore.UnsupportedProtocol,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
        httpx.CookieConflict,
        ValueError,
    ),
    # Raised by httpx's client or by misuse of its answers; listed so that a new name of httpx is noticed.
    "unexpected": (
        Exception,
        httpx.HTTPError,
        httpx.RequestError,
        httpx.HTTPStatusError,
        httpx.TooManyRedirects,
        httpx.StreamError,
        httpx.StreamConsumed,
        httpx.StreamClosed,
        httpx.ResponseNotRead,
        httpx.RequestNotRead,
    ),
}
CAUSES: Final[Mapping[type[Exception], str]] = {kind: word for word, kinds in _FAULTS.items() for kind in kinds}


def cause_of(error: BaseException) -> str:
    """Our word for an exception from below; its text is never used, because it may quote a header."""
    link: BaseException | None = error
    while link is not None:
        # By exact type: its subclasses tell of ends and waits, and stand behind every failure under TLS.
        if type(link) in (ssl.SSLError, ssl.SSLCertVerificationError):
            return "tls-failed"
        link = link.__cause__ or link.__context__
    return next(CAUSES[kind] for kind in type(error).__mro__ if kind in CAUSES)


def scrub(text: str, secrets: Iterable[str]) -> str:
    """`text` without the secrets, control characters and excess length."""
    for secret in secrets:
        text = text.replace(secret, "[hidden]")
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]+", " ", text)[:DETAIL_CHARACTERS_MAX]
