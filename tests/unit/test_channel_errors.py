"""The errors of channels: every one of the libraries below has its place, and none carries an address up."""

import inspect
import smtplib
from types import ModuleType

import httpcore
import pytest

from blocks.notifications import errors
from blocks.notifications.errors import KINDS, Busy, ChannelError, Refused, Unreachable, translate


def raised_by(module: ModuleType) -> list[type[Exception]]:
    return [found for _, found in inspect.getmembers(module, inspect.isclass) if issubclass(found, Exception)]


@pytest.mark.parametrize("module", [httpcore, smtplib])
def test_every_error_of_the_lower_libraries_has_a_place(module: ModuleType) -> None:
    assert len(raised_by(module)) > 8
    assert [found.__name__ for found in raised_by(module) if not set(found.__mro__) & set(KINDS)] == []


def test_every_place_stands_in_the_drawing() -> None:
    drawn = errors.__doc__ or ""
    for kind in ChannelError.__subclasses__():
        line = next(line for line in drawn.splitlines() if f"─ {kind.__name__} " in line)
        assert (line.split()[2] == "yes") == kind.retryable


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (smtplib.SMTPAuthenticationError(535, b"planted"), Refused),
        (smtplib.SMTPDataError(451, b"planted"), Busy),
        (smtplib.SMTPRecipientsRefused({"planted": (550, b"planted")}), Refused),
        (smtplib.SMTPRecipientsRefused({"planted": (450, b"planted")}), Busy),
        (smtplib.SMTPServerDisconnected("planted"), Unreachable),
        (httpcore.ConnectError("planted"), Unreachable),
        (TimeoutError("planted"), Unreachable),
    ],
)
def test_an_error_is_translated_and_what_it_said_is_left_behind(error: Exception, kind: type[ChannelError]) -> None:
    found = translate(error)
    assert type(found) is kind
    assert "planted" not in str(found)
