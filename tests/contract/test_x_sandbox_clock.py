"""The sandbox's clock can be set and sped up, and everything in it goes by this clock."""

import email.utils
import time
from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest

from tests.x_sandbox_process import Caller, XSandboxProcess


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess) -> XSandboxProcess:
    process.reset()
    return process


def now(sandbox: XSandboxProcess) -> float:
    return datetime.fromisoformat(sandbox.control.get("/clock").json()["now"]).timestamp()


def test_a_clock_that_runs_fast_ages_tokens_and_windows(sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    sandbox.settings(limits={"POST /2/tweets": {"user_15_minutes": 1}})
    assert [alice.post(f"{number}").status_code for number in range(2)] == [201, 429]
    sandbox.clock(speed=100_000)
    deadline = time.monotonic() + 10
    while alice.http.get("/2/users/me").status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sandbox.clock(speed=1)
    assert Caller(sandbox, "alice").post("again").status_code == 201


def test_a_clock_that_stands_still_stands_still_over_a_restart(sandbox: XSandboxProcess) -> None:
    sandbox.clock(now="2027-01-01T12:00:00Z", speed=0)
    post_id = Caller(sandbox, "alice").posted("frozen")
    sandbox.restart()
    assert sandbox.control.get("/clock").json()["now"] == "2027-01-01T12:00:00.000000+00:00"
    alice = Caller(sandbox, "alice")
    shown = alice.get(f"/2/tweets/{post_id}", tweet__fields="created_at,public_metrics")["data"]
    assert shown["created_at"] == "2027-01-01T12:00:00.000Z"
    assert shown["public_metrics"]["impression_count"] == 0
    assert sandbox.ledger("create")[0]["first_byte_at"] == "2027-01-01T12:00:00.000000+00:00"


def test_the_clock_is_moved_on_from_where_it_is_and_back_to_the_wall(sandbox: XSandboxProcess) -> None:
    sandbox.clock(ahead_seconds=3_600)
    shown = sandbox.clock(forward_seconds=60)
    assert shown["ahead_seconds"] == pytest.approx(3_660, abs=1)
    answer = sandbox.control.delete("/clock").json()
    assert (answer["speed"], answer["ahead_seconds"]) == (1, pytest.approx(0, abs=0.01))


def test_a_change_of_speed_does_not_jump(sandbox: XSandboxProcess) -> None:
    sandbox.clock(ahead_seconds=10**6, speed=50)
    before = now(sandbox)
    sandbox.clock(speed=0)
    after = now(sandbox)
    assert 0 <= after - before < 50 * 10
    assert now(sandbox) == after
    sandbox.settings(latency_ms=0)
    assert now(sandbox) == after, "another setting leaves the clock alone"


def test_the_date_header_shows_the_sandbox_s_time(sandbox: XSandboxProcess) -> None:
    sandbox.clock(now="2027-06-01T00:00:00Z", speed=0)
    deadline = time.monotonic() + 10
    while True:
        date = email.utils.parsedate_to_datetime(
            httpx.get(f"{sandbox.url}/2/users/me", trust_env=False).headers["date"]
        )
        if date.isoformat() == "2027-06-01T00:00:00+00:00":
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_reset_brings_the_clock_back_and_one_that_keeps_accounts_does_not(sandbox: XSandboxProcess) -> None:
    sandbox.clock(ahead_seconds=1_000)
    sandbox.reset(keep_accounts=True)
    assert sandbox.control.get("/clock").json()["ahead_seconds"] == pytest.approx(1_000, abs=1)
    sandbox.reset()
    assert sandbox.control.get("/clock").json()["ahead_seconds"] == 0
