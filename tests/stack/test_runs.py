"""Runs: the schedule starts them, in the right place, and no dead or late one stays."""

import signal
from datetime import UTC, datetime

import pytest

from deployments.local import automations, processes, reaper, registration
from tests.stack.conftest import FLOWS, RunningStack, eventually

OFTEN, BY_HAND = "show-place/often", "last/by-hand"
ROTATION = registration.ROTATION


def test_a_scheduled_run_really_happens_where_our_code_is(running: RunningStack) -> None:
    running.deploy_small_flows()
    done = eventually(lambda: running.runs(OFTEN, state={"type": {"any_": ["COMPLETED"]}}), 150)
    assert all(run["auto_scheduled"] for run in done)

    def place() -> str | None:
        with running.api() as api:
            answer = api.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [done[0]["id"]]}}})
            return next((line["message"] for line in answer.json() if "cwd=" in line["message"]), None)

    said = eventually(place)
    assert f"VIVESPHERE_HOME={running.home}" in said
    assert "VIVESPHERE_VAULT__ROLE=poster" in said
    assert f"PREFECT_HOME={running.home / 'prefect' / 'worker'}" in said


def test_registering_again_doubles_nothing(running: RunningStack) -> None:
    running.deploy_small_flows()
    registration.register(running.places, FLOWS)
    with running.api() as api:
        deployments = [(one["flow_id"], one["name"]) for one in api.post("/deployments/filter", json={}).json()]
        found = [one["name"] for one in api.post("/automations/filter", json={}).json()]
        wanted = [one["name"] for one in automations.wanted(running.places, api)]
    assert sorted(deployments) == sorted(set(deployments))
    assert sorted(found) == sorted(wanted)


def test_up_starts_a_rotation_and_leaves_it_to_no_schedule(running: RunningStack) -> None:
    by_hand = eventually(lambda: [run for run in running.runs(ROTATION) if not run["auto_scheduled"]], 150)
    eventually(lambda: running.run(by_hand[0]["id"])["state_type"] == "COMPLETED", 150)


def test_a_rotation_that_hangs_keeps_no_other_run_of_its_queue_waiting(running: RunningStack) -> None:
    hanging = running.start_run(ROTATION)
    bodies = [eventually(lambda: processes.of_flow_runs().get(hanging))]
    bodies[0].send(signal.SIGSTOP)
    try:
        after = running.start_run(ROTATION)
        bodies.append(eventually(lambda: processes.of_flow_runs().get(after), 150))
        assert running.run(hanging)["state_type"] in ("PENDING", "RUNNING")
    finally:
        for body in bodies:
            body.send(signal.SIGKILL)


def test_a_killed_run_is_crashed_at_once(running: RunningStack) -> None:
    run = running.start_run(BY_HAND, seconds=120)
    process = eventually(lambda: processes.of_flow_runs().get(run))
    eventually(lambda: running.run(run)["state_type"] == "RUNNING")
    process.send(signal.SIGKILL)
    eventually(lambda: running.run(run)["state_type"] == "CRASHED")


def test_when_the_worker_dies_its_living_run_goes_on_and_its_dead_one_is_crashed(running: RunningStack) -> None:
    living, dead = running.start_run(BY_HAND, seconds=60), running.start_run(BY_HAND, seconds=60)
    for run in (living, dead):
        eventually(lambda run=run: running.run(run)["state_type"] == "RUNNING")
    found = processes.of_flow_runs()
    worker = running.process("worker")
    worker.send(signal.SIGKILL)
    found[dead].send(signal.SIGKILL)
    eventually(lambda: running.run(dead)["state_type"] == "CRASHED")
    assert running.run(dead)["state"]["message"] == "its process is gone"
    assert found[living].alive
    state = running.run(living)["state"]
    assert state["type"] == "RUNNING", state["message"]
    eventually(lambda: running.note().parts["worker"].state == "up" and running.process("worker") != worker)
    processes.end([found[living]], 10)
    reaper.settle(running.places)
    assert running.run(living)["state_type"] == "CRASHED"


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_a_silent_run_is_crashed_by_the_automation_where_nobody_else_is_left_to_see_it(running: RunningStack) -> None:
    run = running.start_run(BY_HAND, seconds=300)
    eventually(lambda: running.run(run)["state_type"] == "RUNNING")
    body = processes.of_flow_runs()[run]
    try:
        for process in (running.note().supervisor, running.process("worker"), body):
            process.send(signal.SIGKILL)
        # Prefect looks at heartbeats of 30 s and waits for 90 s of silence.
        eventually(lambda: running.run(run)["state_type"] == "CRASHED", 240)
    finally:
        running.up()


def test_stuck_pending_and_late_posting_runs_are_ended_before_the_worker_starts(running: RunningStack) -> None:
    running.deploy_small_flows()
    worker = running.process("worker")
    worker.send(signal.SIGSTOP)
    try:
        pending = running.start_run(BY_HAND, seconds=1)
        state = {"type": "PENDING", "name": "Pending"}
        with running.api() as api:
            api.post(f"/flow_runs/{pending}/set_state", json={"state": state, "force": True}).raise_for_status()

        def late() -> list[str]:
            due = {"before_": datetime.now(UTC).isoformat()}
            found = running.runs(OFTEN, state={"type": {"any_": ["SCHEDULED"]}}, expected_start_time=due)
            return [run["id"] for run in found]

        overdue = eventually(late)
        reaper.settle(running.places)
        assert running.run(pending)["state_type"] == "CRASHED"
        assert {running.run(run)["state_type"] for run in overdue} == {"CANCELLED"}
    finally:
        worker.send(signal.SIGCONT)
