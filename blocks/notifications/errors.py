"""What goes wrong on the way to a channel. No text holds an address or a secret: it is written into Postgres.

ChannelError      retryable
├─ Unreachable      yes   no connection, no answer in time, or it broke off
├─ Busy             yes   it answered that it cannot now: 429, 5xx, or a mail server's 4xx
├─ Refused          no    it answered no: another status, a redirect, a wrong login, a recipient it does not know
└─ NotAllowed       no    the address is not on the public internet, or not spoken to in private
"""

import smtplib
import ssl
from collections.abc import Mapping

import httpcore

from blocks.web import NotPublicError


class ChannelError(Exception):
    """A message was not delivered."""

    retryable = True


class Unreachable(ChannelError):
    """Nothing is there, or it does not speak to us."""


class Busy(ChannelError):
    """Later, it says."""


class Refused(ChannelError):
    """No, it says, and will again."""

    retryable = False


class NotAllowed(ChannelError):
    """We do not go there."""

    retryable = False


# A base class stands for those below it, unless one of them stands here too.
KINDS: Mapping[type[Exception], type[ChannelError]] = {
    NotPublicError: NotAllowed,
    TimeoutError: Unreachable,
    OSError: Unreachable,
    ssl.SSLError: Unreachable,
    httpcore.TimeoutException: Unreachable,
    httpcore.NetworkError: Unreachable,
    httpcore.ProtocolError: Unreachable,
    httpcore.ProxyError: Unreachable,
    httpcore.UnsupportedProtocol: NotAllowed,
    httpcore.ConnectionNotAvailable: Unreachable,
    smtplib.SMTPException: Unreachable,
    smtplib.SMTPServerDisconnected: Unreachable,
    smtplib.SMTPResponseException: Refused,
    smtplib.SMTPRecipientsRefused: Refused,
    smtplib.SMTPNotSupportedError: Refused,
}
EXPECTED = tuple(KINDS)


def translate(error: Exception) -> ChannelError:
    """The place of a lower error in the tree; what it says is left out, because it may hold the address."""
    if isinstance(error, ChannelError):
        return error
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        return _by_code(max(codes, default=550))
    if isinstance(error, smtplib.SMTPResponseException):
        return _by_code(error.smtp_code)
    kind = next(KINDS[one] for one in type(error).__mro__ if one in KINDS)
    return kind(str(error) if isinstance(error, NotPublicError) else type(error).__name__)


def _by_code(code: int) -> ChannelError:
    said = f"the mail server answered {code}"
    return Busy(said) if 400 <= code < 500 else Refused(said)
