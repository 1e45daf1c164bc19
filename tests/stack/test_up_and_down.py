"""The stack as a person meets it: up, up again, killed parts, killed supervisor, down."""

import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from config.settings import LOOPBACK
from deployments.local import board, postgres, processes, reaper, status
from deployments.local.layout import PortTakenError
from deployments.local.stack import StackFailedError
from tests.stack.conftest import RunningStack, eventually

CHILDREN = ["postgres", "openbao", "x-sandbox", "prefect", "worker"]


def test_every_part_is_up_and_says_where(running: RunningStack) -> None:
    found = {part.name: part for part in status.status(running.places)}
    assert {part.state for part in found.values()} == {"up"}, found
    assert set(CHILDREN) < set(found)
    assert all(part.version and part.uptime_seconds is not None for part in found.values())
    assert all(len(line) <= 80 for line in status.lines(list(found.values())))


def test_state_is_private(running: RunningStack) -> None:
    assert running.home.stat().st_mode & 0o777 == 0o700
    open_to_others = [
        path
        for folder in ("secrets", "run", "logs", "prefect")
        for path in (running.home / folder).rglob("*")
        if path.is_file() and path.stat().st_mode & 0o077 and "__pycache__" not in path.parts
    ]
    assert open_to_others == []


def test_no_secret_stands_in_an_environment_or_a_command_line_but_the_workers_auth_string(
    running: RunningStack,
) -> None:
    secrets = {path.name: path.read_text(encoding="utf-8").strip() for path in (running.home / "secrets").iterdir()}
    secrets["prefect.pgpass"] = secrets["prefect.pgpass"].rpartition(":")[2]
    secrets["prefect.auth"] = (running.home / "run" / "prefect.auth").read_text(encoding="utf-8").partition(":")[2]
    holders = set()
    for name, part in running.note().parts.items():
        if part.process is not None:
            folder = processes.PROC / str(part.process.pid)
            shown = (folder / "environ").read_text(encoding="utf-8") + (folder / "cmdline").read_text(encoding="utf-8")
            holders |= {(name, secret) for secret, value in secrets.items() if value in shown}
    assert holders <= {("worker", "prefect.auth")}


def test_up_again_changes_nothing_and_tells_what_is_where(running: RunningStack) -> None:
    before = running.note()
    running.up()
    assert running.note() == before
    assert any("prefect is up at http://127.0.0.1" in line for line in running.said)


@pytest.mark.parametrize("part", CHILDREN)
def test_a_killed_part_is_started_again_and_said_so(running: RunningStack, part: str) -> None:
    killed = running.process(part)
    killed.send(signal.SIGKILL)
    eventually(lambda: (now := running.note().parts[part]).state == "up" and now.process not in (None, killed))
    log = (running.home / "logs" / "supervisor.log").read_text(encoding="utf-8")
    assert f"{part}: ended with code -9" in log
    eventually(lambda: {found.state for found in status.status(running.places)} == {"up"})


def test_a_killed_supervisor_blocks_nothing_and_its_children_are_replaced(running: RunningStack) -> None:
    running.deploy_small_flows()
    run = running.start_run("last/by-hand", seconds=120)
    orphan = eventually(lambda: reaper.processes.of_flow_runs().get(run))
    old = running.note()
    old.supervisor.send(signal.SIGKILL)
    assert processes.wait_for_end([old.supervisor], 5)
    assert {part.state for part in status.status(running.places) if part.name == "supervisor"} == {"dead"}
    running.up()
    new = running.note()
    assert new.supervisor != old.supervisor and new.phase == "up"
    assert not any(part.process.alive for part in old.parts.values() if part.process)
    assert not orphan.alive
    assert running.run(run)["state_type"] == "CRASHED"


def test_down_leaves_no_process_and_two_ups_at_once_make_one_stack(running: RunningStack) -> None:
    run = running.start_run("last/by-hand", seconds=120)
    orphan = eventually(lambda: reaper.processes.of_flow_runs().get(run))
    parts = [part.process for part in running.note().parts.values() if part.process]
    running.down()
    assert processes.of_stack(running.home) == []
    assert postgres.processes_in(running.home / "postgres") == []
    assert not any(process.alive for process in [*parts, orphan])
    assert list((running.home / "run").iterdir()) == []
    assert not (running.home / "postgres" / "postmaster.pid").exists()
    command = [sys.executable, "-c", "from deployments.cli.main import main; main()", "up"]
    with ThreadPoolExecutor() as threads:
        done = list(threads.map(lambda _: subprocess.run(command, capture_output=True, text=True), range(2)))
    assert [found.returncode for found in done] == [0, 0], done
    supervisors = [line for line in done[0].stdout.splitlines() + done[1].stdout.splitlines() if "supervisor" in line]
    assert len({line.split()[2] for line in supervisors}) == 1
    assert running.run(run)["state_type"] in ("CRASHED", "CANCELLED")


def test_a_port_taken_by_a_stranger_is_named_with_the_way_out(running: RunningStack) -> None:
    port = running.places.settings.prefect.port
    running.down()
    with socket.create_server((LOOPBACK, port or 0)):
        with pytest.raises(PortTakenError, match=f'prefect: port {port} is taken by process .*"port" under "prefect"'):
            running.up()
    assert processes.of_stack(running.home) == []


def test_a_part_that_cannot_start_is_named_with_its_log_and_nothing_stays(running: RunningStack) -> None:
    configuration = running.home / "postgres" / "postgresql.conf"
    whole = configuration.read_text(encoding="utf-8")
    configuration.write_text("shared_buffers = nonsense\n", encoding="utf-8")
    with pytest.raises(StackFailedError, match=r"postgres ended with code 1: see .*/logs/postgres.log"):
        running.up()
    assert processes.of_stack(running.home) == []
    configuration.write_text(whole, encoding="utf-8")
    running.up()
    assert board.read(running.home) is not None
