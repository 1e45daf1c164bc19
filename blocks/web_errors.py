"""What goes wrong on the way to a page of a stranger.

WebError         retryable
├─ NotAllowed      no    the address is not on the public internet, X's own site, or robots.txt keeps us out
├─ Unreachable     yes   no connection, no TLS, or it broke off
├─ TooSlow         yes   all of it took longer than we wait
├─ TooLarge        no    more than we read, once unpacked
├─ Throttled       yes   429, or 503 with Retry-After; `retry_at` says when
├─ Refused         no    another 4xx, too many redirects, or an encoding that we did not ask for
└─ Failing         yes   5xx
"""

import sqlite3
import ssl
import zlib
from collections.abc import Mapping
from datetime import datetime

import httpcore
import httpx

from blocks.web import NotPublicError


class WebError(Exception):
    """A page was not fetched. `status` is what the server answered, if it did; `retry_at` is when we may come again."""

    retryable = False

    def __init__(self, said: str, *, status: int | None = None, retry_at: datetime | None = None) -> None:
        super().__init__(said)
        self.status = status
        self.retry_at = retry_at


class NotAllowed(WebError):
    """We do not go there."""


class Unreachable(WebError):
    """Nothing is there, or it does not speak to us."""

    retryable = True


class TooSlow(WebError):
    """Dripping, or not answering at all."""

    retryable = True


class TooLarge(WebError):
    """A page without end, or a small one that unpacks into one."""


class Throttled(WebError):
    """Later, it says."""

    retryable = True


class Refused(WebError):
    """No, it says."""


class Failing(WebError):
    """It is in trouble itself."""

    retryable = True


# A base class stands for those below it, unless one of them stands here too.
KINDS: Mapping[type[Exception], type[WebError]] = {
    NotPublicError: NotAllowed,
    TimeoutError: TooSlow,
    OSError: Unreachable,
    ssl.SSLError: Unreachable,
    httpcore.TimeoutException: TooSlow,
    httpcore.NetworkError: Unreachable,
    httpcore.ProtocolError: Unreachable,
    httpcore.ProxyError: Unreachable,
    httpcore.UnsupportedProtocol: NotAllowed,
    httpcore.ConnectionNotAvailable: Unreachable,
    httpx.InvalidURL: NotAllowed,
    UnicodeError: NotAllowed,
    zlib.error: Unreachable,
    sqlite3.Error: Unreachable,
}
EXPECTED: tuple[type[Exception], ...] = (*KINDS, WebError)


def translate(error: Exception) -> WebError:
    """The place of a lower error in the tree."""
    if isinstance(error, WebError):
        return error
    kind = next(KINDS[one] for one in type(error).__mro__ if one in KINDS)
    return kind(str(error) if isinstance(error, NotPublicError) else f"{type(error).__name__}: {error}"[:200])
