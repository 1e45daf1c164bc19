"""The tree of errors is the drawn one, and every error of the libraries below has a place."""

import asyncio
import pickle
import re
import ssl
from datetime import UTC, datetime
from types import ModuleType

import httpcore
import httpx
import pytest

from blocks.x import errors
from blocks.x.errors import CAUSES, DETAIL_CHARACTERS_MAX, NoAnswer, Refused, Throttled, XError, cause_of, scrub
from blocks.x.limits import Limits, Window


def subclasses(kind: type[XError]) -> set[type[XError]]:
    return {kind} | {below for child in kind.__subclasses__() for below in subclasses(child)}


def exceptions_of(module: ModuleType) -> list[type[Exception]]:
    return [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Exception)]


def drawn() -> dict[str, tuple[bool, bool]]:
    rows = re.findall(r"^[│├└─ ]+(\w+) +(yes|no)(?: \(1\))? +(yes|no) ", errors.__doc__ or "", re.MULTILINE)
    return {name: (retryable == "yes", known == "yes") for name, retryable, known in rows}


def test_the_drawing_is_the_tree() -> None:
    real = {kind.__name__: (kind.retryable, kind.outcome_known) for kind in subclasses(XError) - {XError}}
    assert drawn() == real


@pytest.mark.parametrize("kind", [asyncio.TimeoutError, *exceptions_of(httpx), *exceptions_of(httpcore)])
def test_every_error_from_below_has_a_place(kind: type[Exception]) -> None:
    assert kind in CAUSES


def test_an_unheard_of_error_is_unexpected() -> None:
    class Novel(Exception):
        pass

    assert cause_of(Novel()) == "unexpected"
    assert cause_of(ConnectionResetError()) == "network-failed"


def test_a_certificate_behind_another_error_is_found_and_a_wait_is_not() -> None:
    untrusted, cut = httpcore.ConnectError(), httpcore.ReadError()
    untrusted.__cause__ = ssl.SSLCertVerificationError()
    cut.__context__ = ssl.SSLWantReadError()
    assert cause_of(untrusted) == "tls-failed"
    assert cause_of(cut) == "read-failed"


def test_an_error_survives_the_way_between_processes() -> None:
    now = datetime.now(UTC)
    sent = Throttled("slow down", problem="code-88", status=429, retry_at=now, limits=Limits(Window(1, 0, now)))
    received = pickle.loads(pickle.dumps(sent))  # noqa: S301 - our own bytes
    assert vars(received) == vars(sent)
    assert str(received) == "Throttled (429, code-88): slow down"


def test_whether_to_retry_can_belong_to_one_error() -> None:
    assert NoAnswer("read", retryable=True).retryable
    assert not NoAnswer("create").retryable
    assert not Refused("no").retryable


def test_scrubbing_hides_secrets_and_controls_and_keeps_it_short() -> None:
    assert scrub("a s3cret\x1b[31m\u202e b", ["s3cret"]) == "a [hidden] [31m  b"
    assert len(scrub("x" * 10_000, [])) == DETAIL_CHARACTERS_MAX
