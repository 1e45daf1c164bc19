"""The doctor: each part is broken, found, and named with a fix that mends it."""

import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.places import Places
from config.settings import Postgres, Settings, Stack
from deployments.local import automations, doctor, prefect_api, stack, work_pool
from deployments.local.doctor import Finding
from deployments.local.processes import Process
from tests.stack.conftest import RunningStack, eventually


def ill(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings if not finding.well}


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send(signal.SIGCONT)


def test_a_healthy_stack_has_nothing_to_mend(running: RunningStack) -> None:
    findings = doctor.examine(running.places)
    assert ill(findings) == {}
    wanted = {"packages", "disk", "clock", "vault", "migrations", "worker heartbeat", "deployments", "block documents"}
    assert wanted <= {finding.name for finding in findings}


def test_a_schema_behind_this_release_is_found(running: RunningStack) -> None:
    found = ill(doctor.examine(running.places, revisions=lambda: ("0001", "0002")))
    assert found["migrations"].said == "at 0001, newest is 0002"


def test_a_full_disk_is_found(tmp_path: Path) -> None:
    more_than_there_is = Stack().model_copy(update={"disk_free_mb": shutil.disk_usage(tmp_path).total})
    places = Places(Settings(home=tmp_path).model_copy(update={"stack": more_than_there_is}))
    assert "lower stack.disk_free_mb" in ill(list(doctor.disk(places)))["disk"].fix


def test_assumptions_of_delivery_that_do_not_hold_are_found(running: RunningStack) -> None:
    well = {finding.name: finding for finding in doctor.delivery(running.places)}
    assert all(finding.well for finding in well.values()), well
    assert {"S1 settle", "S2 visible", "S3 commits"} <= well.keys()
    places, settings = running.places, running.places.settings
    x = settings.x.model_copy(update={"base_url": places.x, "settle_seconds": 5.0, "visible_seconds": 5.0})
    hurried = type(places)(settings.model_copy(update={"x": x}))
    found = {finding.name for finding in doctor.delivery(hurried) if not finding.well}
    assert found == {"S1 settle", "S2 visible"}


def test_a_secret_that_others_can_read_is_found(running: RunningStack) -> None:
    secret = running.home / "secrets" / "postgres-admin.password"
    secret.chmod(0o644)
    try:
        assert ill(list(doctor.secrets(running.places)))["secrets"].fix == f"chmod go= {secret}"
    finally:
        secret.chmod(0o600)


def test_a_wrong_clock_is_found(running: RunningStack) -> None:
    found = list(doctor.clock(running.places, now=lambda: time.time() + 60))
    assert len(found) == 2 and all("NTP" in finding.fix for finding in found)


def test_a_package_of_another_version_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requires", lambda name: ["sqlalchemy>=2.1", "no-such-package", "httpx"])
    (found,) = doctor.packages()
    assert "sqlalchemy 2.0" in found.said and "no-such-package missing" in found.said and found.fix == "make install"


def test_a_vault_that_does_not_read_is_found(running: RunningStack) -> None:
    with frozen(running.process("openbao")):
        assert "vault" in ill(list(doctor.vault(running.places)))
    assert ill(list(doctor.vault(running.places))) == {}


def test_a_silent_part_is_found(running: RunningStack) -> None:
    with frozen(running.process("x-sandbox")):
        assert ill(doctor.examine(running.places))["x-sandbox"].said.startswith("silent")


def test_a_worker_that_prefect_does_not_hear_is_found(running: RunningStack) -> None:
    with prefect_api.client(running.places) as api:
        pool = running.places.settings.prefect.work_pool
        api.delete(f"/work_pools/{pool}/workers/{work_pool.worker_name()}").raise_for_status()
    assert "worker.log" in ill(list(doctor.heartbeat(running.places)))["worker heartbeat"].fix
    running.process("worker").send(signal.SIGKILL)
    eventually(lambda: ill(list(doctor.heartbeat(running.places))) == {})


def test_what_was_changed_on_prefects_server_is_found_and_register_mends_it(running: RunningStack) -> None:
    with running.api() as api:
        pool = f"/work_pools/{running.places.settings.prefect.work_pool}"
        deployment = api.get("/deployments/name/publish-due-posts/every-minute").json()["id"]
        api.patch(f"/deployments/{deployment}", json={"job_variables": {"env": {"A": "b"}}}).raise_for_status()
        api.patch(f"{pool}/queues/collection", json={"concurrency_limit": 7}).raise_for_status()
        slug = "vivesphere-postgres-server"
        document = api.get(f"/block_types/slug/{slug}/block_documents/name/vivesphere").json()
        api.patch(f"/block_documents/{document['id']}", json={"data": {"port": 1}}).raise_for_status()
        automation = automations.found(api, automations.ZOMBIES)
        assert automation is not None
        api.patch(f"/automations/{automation['id']}", json={"enabled": False}).raise_for_status()
    found = ill(doctor.examine(running.places))
    assert found["deployments"].said == "every-minute differs in its job variables"
    assert found["work pool"].said == "queue collection has another limit or is paused"
    assert found["block documents"].said == f"{slug} says another port"
    assert "is switched off" in found["automations"].said
    assert {finding.fix for finding in found.values()} == {"vivesphere up --register"}
    stack.up(register_again=True)
    assert ill(doctor.examine(running.places)) == {}


def test_before_the_first_start_it_looks_at_this_machine_alone(tmp_path: Path) -> None:
    new = RunningStack(tmp_path / "new")
    with new.at_home():
        found = doctor.examine(new.places)
    assert set(ill(found)) == {"stack"} and {"packages", "disk", "ports"} <= {finding.name for finding in found}


def test_a_port_that_a_stranger_took_is_found_before_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]
        [finding] = doctor.ports(Places(Settings(home=tmp_path, postgres=Postgres(port=taken))))
    assert not finding.well
    assert str(taken) in finding.said
    assert finding.fix
