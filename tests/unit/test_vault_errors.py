"""The vault's errors: every one of the libraries below has its place, and none carries a secret up."""

import inspect
import pickle
import ssl
from types import ModuleType

import hvac.exceptions
import pytest
import requests
import requests.exceptions
import urllib3.exceptions

from blocks.vault import errors
from blocks.vault.errors import KINDS, MEANINGS, NoAnswer, Unreachable, Untrusted, VaultError, translate

PLANTED = "planted-s3cret"


def raised_by(module: ModuleType) -> list[type[Exception]]:
    return [
        found
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, Exception) and not issubclass(found, Warning) and found.__module__ == module.__name__
    ]


@pytest.mark.parametrize("module", [hvac.exceptions, requests.exceptions])
def test_every_error_of_the_lower_libraries_has_a_place(module: ModuleType) -> None:
    assert len(raised_by(module)) > 10
    assert [found.__name__ for found in raised_by(module) if found not in KINDS] == []


def test_every_place_has_a_meaning_and_stands_in_the_drawing() -> None:
    assert set(KINDS.values()) <= set(MEANINGS)
    drawn = errors.__doc__ or ""
    for kind in VaultError.__subclasses__():
        line = next(line for line in drawn.splitlines() if f"─ {kind.__name__} " in line)
        retryable, outcome_known = line.split()[2:4]
        if kind is NoAnswer:
            assert (retryable, outcome_known) == ("reads", "reads")
        else:
            assert (retryable == "yes", outcome_known == "yes") == (kind.retryable, kind.outcome_known)


def test_an_unanswered_write_is_unknown_and_an_unanswered_read_may_be_repeated() -> None:
    lost = requests.exceptions.ReadTimeout()
    write, read = translate(lost, "write", writes=True), translate(lost, "read", writes=False)
    assert (write.retryable, write.outcome_known) == (False, False)
    assert (read.retryable, read.outcome_known) == (True, True)


def test_a_refused_connection_is_known_not_to_have_written() -> None:
    refused = urllib3.exceptions.NewConnectionError(None, "refused")  # type: ignore[arg-type]
    as_requests_says_it = requests.exceptions.ConnectionError(
        urllib3.exceptions.MaxRetryError(None, "/v1/x", refused)  # type: ignore[arg-type]
    )
    assert type(translate(as_requests_says_it, "write", writes=True)) is Unreachable
    assert type(translate(requests.exceptions.ConnectionError("reset"), "write", writes=True)) is NoAnswer


def test_only_a_bad_certificate_is_a_matter_of_trust() -> None:
    bad = requests.exceptions.SSLError(
        urllib3.exceptions.MaxRetryError(
            None,  # type: ignore[arg-type]
            "/v1/x",
            urllib3.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed")),
        )
    )
    cut = requests.exceptions.SSLError(urllib3.exceptions.SSLError(ssl.SSLEOFError("eof within an answer")))
    assert type(translate(bad, "write", writes=True)) is Untrusted
    assert type(translate(cut, "write", writes=True)) is NoAnswer


def test_no_text_of_the_vault_or_the_request_is_carried_up() -> None:
    request = requests.Request("POST", "https://127.0.0.1/v1/x", json={"token": PLANTED}).prepare()
    below = [
        requests.exceptions.ReadTimeout(PLANTED, request=request),
        hvac.exceptions.InvalidRequest(PLANTED, errors=[PLANTED], text=PLANTED, json={"data": PLANTED}),
    ]
    for error in below:
        ours = translate(error, "write secret bots/1/access", writes=True)
        assert PLANTED not in f"{ours} {ours!r} {vars(ours)} {ours.args}"
        assert ours.__cause__ is None and ours.__context__ is None


def test_an_error_keeps_its_facts_between_processes() -> None:
    error = translate(requests.exceptions.ReadTimeout(), "read", writes=False)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(again), again.retryable, again.outcome_known) == (str(error), True, True)
