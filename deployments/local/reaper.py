"""Settles runs that a dead worker left behind; Prefect itself would show them as running or pending for ever."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from config.places import Places
from deployments.local import prefect_api, processes, work_pool

POSTING_QUEUE = "bot-actions"
OPEN_STATES = ["RUNNING", "PENDING", "CANCELLING"]
END_SECONDS = 5.0
UNNAMED = timedelta(seconds=30)


def settle(places: Places) -> None:
    """Before a worker starts: no run of our pool is open without a process, and no posting run starts late.

    A run whose process lives is left to finish, since it holds posts; one that was to be cancelled is ended. A late
    posting run is dropped, because the next one claims the same posts and a row of late ones would start at once.
    """
    alive = processes.of_flow_runs()
    with prefect_api.client(places) as api:
        for run in list(_runs(api, places, {"state": {"type": {"any_": OPEN_STATES}}})):
            if _is_elsewhere(run, places):
                continue
            process = alive.get(run["id"])
            if process is None:
                _set_state(api, run, "CRASHED", "its process is gone")
            elif run["state_type"] == "CANCELLING":
                processes.end([process], END_SECONDS)
                _set_state(api, run, "CANCELLED", "ended with its worker gone")
        due = {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "expected_start_time": {"before_": datetime.now(UTC).isoformat()},
        }
        for run in list(_runs(api, places, due)):
            if run["auto_scheduled"] and run["work_queue_name"] == POSTING_QUEUE:
                _set_state(api, run, "CANCELLED", "late; the next run claims the same posts")


def end_runs(home: Path, patience_seconds: float) -> None:
    """Before the stack stops: ask the processes of its runs to end; each has a session of its own."""
    ours = set(processes.of_stack(home))
    processes.end([run for run in processes.of_flow_runs().values() if run in ours], patience_seconds)


def _runs(api: httpx.Client, places: Places, criteria: Mapping[str, Any]) -> list[dict[str, Any]]:
    pools = {"name": {"any_": [places.settings.prefect.work_pool]}}
    return list(prefect_api.filtered(api, "/flow_runs", flow_runs=criteria, work_pools=pools))


def _is_elsewhere(run: Mapping[str, Any], places: Places) -> bool:
    """A server of somebody else's may have workers on other hosts; whether a process lives can only be told on its own.

    The worker puts its name on a run a moment after it took it.
    """
    worker = run["labels"].get("prefect.worker.name")
    if worker is not None or not places.settings.prefect.api_url:
        return worker not in (None, work_pool.worker_name())
    return datetime.fromisoformat(run["state"]["timestamp"]) > datetime.now(UTC) - UNNAMED


def _set_state(api: httpx.Client, run: Mapping[str, Any], kind: str, message: str) -> None:
    state = {"type": kind, "name": kind.capitalize(), "message": message}
    answer = api.post(f"/flow_runs/{run['id']}/set_state", json={"state": state, "force": True})
    if answer.status_code != httpx.codes.NOT_FOUND:
        answer.raise_for_status()
