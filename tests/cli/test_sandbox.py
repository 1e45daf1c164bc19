"""`vivesphere sandbox`: a sandbox of its own, and what an operator does to the stack's while rehearsing."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from config import loading
from tests.cli.conftest import Terminal
from tests.postgres_process import free_port
from tests.x_sandbox_process import Caller, XSandboxProcess

PROGRAM = Path(sys.executable).parent / "vivesphere"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(
    process: XSandboxProcess, cli: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> XSandboxProcess:
    """The stack's sandbox: where the settings and the token file of this home say that it is."""
    process.reset()
    monkeypatch.setenv("VIVESPHERE_X__SANDBOX_PORT", str(process.port))
    loading.load.cache_clear()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "x-sandbox.token").write_text(process.token_file.read_text(), encoding="utf-8")
    return process


def test_a_stranger_starts_one_alone_and_posts_by_what_it_prints(tmp_path: Path) -> None:
    folder = tmp_path / "alone"
    command = [str(PROGRAM), "sandbox", "--folder", str(folder)]
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True) as alone:
        assert alone.stdout is not None
        try:
            lines = [alone.stdout.readline() for _ in range(8)]
            address = lines[0].split()[2]
            assert str(folder / "control.token") in lines[1]
            assert [line.split(".")[0].strip() for line in lines[5:]] == ["1", "2", "3"]
            made = subprocess.run([*command, "tokens", "alice", "--json"], capture_output=True, text=True, check=True)
            headers = {"Authorization": f"Bearer {json.loads(made.stdout)['access_token']}"}
            answer = httpx.post(f"{address}/2/tweets", json={"text": "hello"}, headers=headers, trust_env=False)
            assert answer.status_code == 201
            shown = subprocess.run([*command, "ledger", "--kind", "create"], capture_output=True, text=True, check=True)
            assert "hello" in shown.stdout
            second = subprocess.run([*command, "--port", "0"], capture_output=True, text=True, check=False)
            assert (second.returncode, "belongs to a sandbox that is running" in second.stderr) == (1, True)
            port = address.rpartition(":")[2]
            other = [str(PROGRAM), "sandbox", "--folder", str(tmp_path / "other"), "--port", port]
            taken = subprocess.run(other, capture_output=True, text=True, check=False)
            assert (taken.returncode, "--port" in taken.stderr) == (1, True)
        finally:
            alone.send_signal(signal.SIGINT)
        assert alone.wait(10) == 0


async def test_faults_are_switched_on_listed_and_off(cli: Terminal, sandbox: XSandboxProcess) -> None:
    assert (await cli("sandbox", "faults")).err == "no fault is on: this X is well\n"
    on = await cli("sandbox", "faults", "on", "drop", "--when", "after", "--endpoint", "POST /2/tweets", "--count", 3)
    assert (on.code, "drop after accepting" in on.out) == (0, True)
    await cli("sandbox", "faults", "on", "problem", "--problem", "credits-depleted", "--account", "alice")
    listed = (await cli("sandbox", "faults")).out
    assert "POST /2/tweets" in listed
    assert "problem credits-depleted" in listed
    rules = sandbox.control.get("/faults").json()
    assert [(rule["fault"], rule["count"]) for rule in rules] == [("drop", 3), ("problem", None)]
    assert (await cli("sandbox", "faults", "off", rules[0]["id"])).out == "off; still on: 1\n"
    assert (await cli("sandbox", "faults", "off")).out == "off; still on: 0\n"
    wrong = await cli("sandbox", "faults", "on", "explode")
    assert (wrong.code, "fault" in wrong.err) == (2, True)


async def test_the_clock_is_shown_set_and_sped_up(cli: Terminal, sandbox: XSandboxProcess) -> None:
    shown = await cli("sandbox", "clock", "--now", "2027-01-31T08:00:00Z", "--speed", 0)
    assert shown.out.startswith("2027-01-31T08:00:00 UTC")
    assert "speed 0" in shown.out
    assert (await cli("sandbox", "clock", "--forward", 3_600)).out.startswith("2027-01-31T09:00:00 UTC")
    assert "speed 1\n" in (await cli("sandbox", "clock", "--wall")).out
    assert (await cli("sandbox", "clock", "--now", "soon")).code == 2


async def test_ledger_and_spending_tell_what_happened(cli: Terminal, sandbox: XSandboxProcess) -> None:
    Caller(sandbox, "alice").posted("first")
    Caller(sandbox, "alice").posted("second")
    newest = json.loads((await cli("sandbox", "ledger", "--kind", "create", "--last", 1, "--json")).out)
    assert [entry["text"] for entry in newest] == ["second"]
    table = (await cli("sandbox", "ledger", "--after", sandbox.since)).out
    assert table.index("first") < table.index("second")
    spent = (await cli("sandbox", "spend")).out
    assert "POST /2/tweets" in spent
    assert "app: 0.030 USD" in spent


async def test_accounts_lose_their_standing_and_get_it_back(cli: Terminal, sandbox: XSandboxProcess) -> None:
    alice = Caller(sandbox, "alice")
    assert (await cli("sandbox", "suspend", "alice")).code == 0
    assert alice.post("one").status_code == 403
    assert "suspended" in (await cli("sandbox", "accounts")).out
    await cli("sandbox", "restore", "alice")
    assert alice.post("two").status_code == 201
    assert (await cli("sandbox", "credits", 0, "--account", "alice")).code == 0
    assert alice.post("three").status_code == 402
    await cli("sandbox", "credits", "none", "--account", "alice")
    await cli("sandbox", "credits", "0", "--app", "app")
    assert alice.post("four").status_code == 402
    await cli("sandbox", "credits", "none", "--app", "app")
    assert (await cli("sandbox", "revoke", "alice")).out == "@alice: 1 consents ended\n"
    assert alice.post("five").status_code == 401
    assert (await cli("sandbox", "suspend", "nobody")).code == 1
    assert (await cli("sandbox", "credits", "much", "--account", "alice")).code == 2


async def test_settings_are_changed_and_a_reset_asks_first(cli: Terminal, sandbox: XSandboxProcess) -> None:
    changed = await cli("sandbox", "settings", '{"duplicate_refusal": false}')
    assert json.loads(changed.out)["duplicate_refusal"] is False
    assert (await cli("sandbox", "settings", '{"colour": "red"}')).code == 2
    sandbox.accounts("alice")
    assert (await cli("sandbox", "reset", stdin="n\n")).code == 1
    assert len(sandbox.control.get("/accounts").json()) == 1
    assert (await cli("sandbox", "reset", "--yes")).code == 0
    assert sandbox.control.get("/accounts").json() == []


async def test_what_is_not_there_is_said_in_words(
    cli: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no sandbox was started with" in (await cli("sandbox", "--folder", tmp_path, "clock")).err
    assert "start the stack" in (await cli("sandbox", "clock")).err
    monkeypatch.setenv("VIVESPHERE_X__SANDBOX_PORT", str(free_port()))
    loading.load.cache_clear()
    assert "start the sandbox first" in (await cli("sandbox", "clock")).err
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "x-sandbox.token").write_text("token", encoding="utf-8")
    assert "no sandbox answers" in (await cli("sandbox", "clock")).err
    monkeypatch.setenv("VIVESPHERE_X__BASE_URL", "https://api.x.com")
    loading.load.cache_clear()
    assert "--folder" in (await cli("sandbox", "clock")).err
