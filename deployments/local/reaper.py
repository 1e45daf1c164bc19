"""Settles runs that a dead worker left behind; Prefect itself would show them as running or pending for ever."""

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from config.places import Places
from deployments.local import prefect_api, processes

POSTING_QUEUE = "bot-actions"
OPEN_STATES = ["RUNNING", "PENDING", "CANCELLING"]
END_SECONDS = 5.0


def settle(places: Places) -> None:
    """Before a worker starts: no run of our pool is open without a process, and no posting run starts late.

    A run whose process lives is left to finish, since it holds posts; one that was to be cancelled is ended. A late
    posting run is dropped, because the next one claims the same posts and a row of late ones would start at once.
    """
    alive = processes.of_flow_runs()
    with prefect_api.client(places) as api:
        for run in list(_runs(api, places, {"state": {"type": {"any_": OPEN_STATES}}})):
            if _is_elsewhere(run):
                continue
            process = alive.get(run["id"])
            if process is None:
                _set_state(api, run, "CRASHED", "its process is gone")
            elif run["state_type"] == "CANCELLING":
                processes.end([process], END_SECONDS)
                _set_state(api, run, "CANCELLED", "ended with its worker gone")
        due = {"state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": {"before_": _now()}}
        for run in list(_runs(api, places, due)):
            if run["auto_scheduled"] and run["work_queue_name"] == POSTING_QUEUE:
                _set_state(api, run, "CANCELLED", "late; the next run claims the same posts")


def end_runs(places: Places, patience_seconds: float) -> None:
    """Before the stack stops: end the processes of its runs; they live in sessions of their own."""
    ours = set(processes.of_stack(places.home))
    processes.end([run for run in processes.of_flow_runs().values() if run in ours], patience_seconds)


def _runs(api: httpx.Client, places: Places, criteria: Mapping[str, Any]) -> list[dict[str, Any]]:
    pools = {"name": {"any_": [places.settings.prefect.work_pool]}}
    return list(prefect_api.filtered(api, "/flow_runs", flow_runs=criteria, work_pools=pools))


def _is_elsewhere(run: Mapping[str, Any]) -> bool:
    """A pool may be served by several hosts: whether the run's process lives can only be told on its own."""
    host = str(run.get("infrastructure_pid") or "").rpartition(":")[0]
    return host not in ("", _hostname())


def _set_state(api: httpx.Client, run: Mapping[str, Any], kind: str, message: str) -> None:
    state = {"type": kind, "name": kind.capitalize(), "message": message}
    answer = api.post(f"/flow_runs/{run['id']}/set_state", json={"state": state, "force": True})
    if answer.status_code != httpx.codes.NOT_FOUND:
        answer.raise_for_status()


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _hostname() -> str:
    return socket.gethostname()
