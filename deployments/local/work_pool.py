"""The work pool of our worker and its queues: what may run, how, and how many at once."""

import shlex
import socket
import sys
from pathlib import Path
from typing import Any

import httpx

from config.loading import APP_ROOT, PREFIX
from config.places import Places
from deployments.local import prefect_api

# Most runs at once, against floods alone: rows and leases keep two runs apart. Posting has none, because a slot would
# make a run late. A run that was killed with its worker holds its slot until somebody calls it crashed, so that a queue
# of one would have everything behind it wait: onboarding behind a rotation.
QUEUE_LIMITS: dict[str, int | None] = {"bot-actions": None, "collection": 2, "maintenance": 4}
QUEUE_PRIORITIES = {name: at for at, name in enumerate(QUEUE_LIMITS, start=1)}


def ensure(places: Places) -> None:
    """Bring pool and queues to the wanted state; a person's change of a limit is undone."""
    pool = places.settings.prefect.work_pool
    with prefect_api.client(places) as api:
        wanted = {"base_job_template": job_template(places), "description": "Runs of the bot manager."}
        if _exists(api, f"/work_pools/{pool}"):
            api.patch(f"/work_pools/{pool}", json=wanted).raise_for_status()
        else:
            api.post("/work_pools/", json={"name": pool, "type": "process", **wanted}).raise_for_status()
        for name, limit in QUEUE_LIMITS.items():
            queue = {"concurrency_limit": limit, "priority": QUEUE_PRIORITIES[name]}
            if _exists(api, f"/work_pools/{pool}/queues/{name}"):
                api.patch(f"/work_pools/{pool}/queues/{name}", json=queue).raise_for_status()
            else:
                api.post(f"/work_pools/{pool}/queues", json={"name": name, **queue}).raise_for_status()


def worker_name() -> str:
    """One name a host: a restarted worker takes the place of the dead one in Prefect's list."""
    return f"vivesphere-{socket.gethostname()}"


def run_log(places: Places) -> Path:
    """What runs write outside of Prefect's own log, such as an import that fails."""
    return places.logs / "runs.log"


def job_template(places: Places) -> dict[str, Any]:
    """No placeholder anywhere: whoever may set job variables still cannot choose what runs or with which environment.

    The command is the flow run itself; Prefect's default starts a second interpreter before it, which costs a second.
    A run writes to a file and not to its worker: on the broken pipe of a dead worker, the first line that Prefect's
    console logs would end the run.
    """
    run = f"exec {shlex.quote(sys.executable)} -m prefect.engine >>{shlex.quote(str(run_log(places)))} 2>&1"
    return {
        "variables": {"type": "object", "properties": {}},
        "job_configuration": {
            "command": shlex.join(["/bin/sh", "-c", run]),
            "env": {f"{PREFIX}HOME": str(places.home), f"{PREFIX}VAULT__ROLE": "poster"},
            "labels": {},
            "name": None,
            "stream_output": True,
            "working_dir": str(APP_ROOT),
        },
    }


def _exists(api: httpx.Client, path: str) -> bool:
    answer = api.get(path)
    if answer.status_code == httpx.codes.NOT_FOUND:
        return False
    answer.raise_for_status()
    return True
