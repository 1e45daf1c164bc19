"""The worker as a child: takes due runs from our pool and starts each as a process."""

import sys
from pathlib import Path

import httpx

from config.places import Places
from deployments.local import environment, prefect_api, reaper, registration, work_pool
from deployments.local.child import Child


def child(places: Places) -> Child:
    """The worker as the supervisor keeps it; each start first settles what a dead one left behind."""
    settings = places.settings.prefect
    return Child(
        name="worker",
        command=[
            *(sys.executable, "-m", "prefect", "worker", "start"),
            *("--pool", settings.work_pool, "--type", "process", "--name", work_pool.worker_name()),
            *("--install-policy", "never"),
        ],
        address=f"work pool {settings.work_pool}",
        ready=lambda: refusal(places),
        environment={**environment.own(places, "poster"), **worker_environment(places)},
        prepare=lambda: _prepare(places),
        folder=folder(places),
    )


def folder(places: Places) -> Path:
    """PREFECT_HOME of the worker and its runs."""
    return places.home / "prefect" / "worker"


def worker_environment(places: Places) -> dict[str, str]:
    """Prefect's settings for the worker; it hands all of them, and its environment, to each run."""
    settings = places.settings.prefect
    return {
        **environment.prefect_client(places, folder(places)),
        "PREFECT_WORKER_QUERY_SECONDS": str(settings.query_seconds),
        "PREFECT_WORKER_PREFETCH_SECONDS": str(settings.prefetch_seconds),
        "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(settings.heartbeat_seconds),
        "PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES": "false",
    }


def refusal(places: Places) -> str | None:
    """None if Prefect lists our worker as online, else why not."""
    try:
        with prefect_api.client(places) as api:
            workers = prefect_api.filtered(api, f"/work_pools/{places.settings.prefect.work_pool}/workers")
            found = next((worker for worker in workers if worker["name"] == work_pool.worker_name()), None)
    except (OSError, httpx.HTTPError) as error:
        return str(error) or type(error).__name__
    if found is None:
        return "it has not reported to Prefect yet"
    return None if found["status"] == "ONLINE" else f"last heard of at {found['last_heartbeat_time']}"


def _prepare(places: Places) -> None:
    folder(places).mkdir(mode=0o700, parents=True, exist_ok=True)
    reaper.settle(places)
    # A worker that was killed together with its runs leaves nobody who posts until the next minute.
    registration.start_first_run(places, registration.POSTING)
    with prefect_api.client(places) as api:
        # Until the new one reports, nobody may take the dead one's last heartbeat for a sign of life.
        api.delete(f"/work_pools/{places.settings.prefect.work_pool}/workers/{work_pool.worker_name()}")
