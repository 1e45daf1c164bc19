"""What Prefect's server knows of us: deployments of prefect.yaml, block documents, automations."""

import hashlib
import json
import re
import subprocess  # nosec B404
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

from config.loading import APP_ROOT
from config.places import Places
from deployments.local import automations, environment, prefect_api, work_pool

PREFECT_FILE = APP_ROOT / "prefect.yaml"
# What the registered objects are made of: entrypoints and parameter schemas, block schemas, and this code.
SOURCES = ("prefect.yaml", "flows/*.py", "blocks/*/block.py", "deployments/local/*.py", "requirements.lock")
# Where the server keeps the fingerprint; with the objects, so that a fresh database is a fresh registration.
VARIABLE = "vivesphere_registered"
POSTING = "publish-due-posts/every-minute"
ROTATION = "rotate-credentials/every-5-minutes"
# A run that starts by itself within this time is soon enough.
SOON_SECONDS = 3
_FROM_ENVIRONMENT = re.compile(r"\{\{ \$(\w+) \}\}")


class RegistrationError(RuntimeError):
    """Prefect refused an object; the text is what it said."""


def register(places: Places, file: Path = PREFECT_FILE, force: bool = False) -> None:
    """Bring the server to what the files say; takes three seconds, so it is skipped where nothing changed here.

    `force` undoes what somebody changed on the server.
    """
    wanted = fingerprint(places)
    with prefect_api.client(places) as api:
        known = file == PREFECT_FILE and _recorded(api) == wanted and not _any_missing(places, api)
        if known and not force:
            return
        commands = [[sys.executable, "-m", "deployments.local.block_documents"]]
        if file.exists():
            commands.append([sys.executable, "-m", "prefect", "deploy", "--all", "--prefect-file", str(file)])
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda command: _run(places, command), commands))
        automations.ensure(places, api)
        if file == PREFECT_FILE:
            _record(api, wanted)


def fingerprint(places: Places) -> str:
    """Changes with every file and setting that a registered object is made of."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in SOURCES for path in APP_ROOT.glob(pattern)):
        digest.update(str(path.relative_to(APP_ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    settings = places.settings
    wiring = settings.model_dump(mode="json", include={"postgres", "vault", "prefect", "x"})
    wiring["morning_zone"] = settings.notifications.morning_zone
    digest.update(json.dumps([wiring, work_pool.job_template(places), str(APP_ROOT)]).encode())
    return digest.hexdigest()


def wanted_deployments(places: Places) -> list[dict[str, Any]]:
    """The deployments of the file, with what the settings say in it."""
    if not PREFECT_FILE.exists():
        return []
    written = yaml.safe_load(PREFECT_FILE.read_text(encoding="utf-8"))["deployments"]
    found: list[dict[str, Any]] = _filled(written, _said_by_settings(places))
    return found


def _filled(written: Any, said: dict[str, str]) -> Any:
    match written:
        case dict():
            return {name: _filled(value, said) for name, value in written.items()}
        case list():
            return [_filled(value, said) for value in written]
        case str():
            return _FROM_ENVIRONMENT.sub(lambda found: said[found[1]], written)
    return written


def _said_by_settings(places: Places) -> dict[str, str]:
    """What the file takes from its environment."""
    return {
        "APP_ROOT": str(APP_ROOT),
        "WORK_POOL": places.settings.prefect.work_pool,
        "MORNING_ZONE": places.settings.notifications.morning_zone,
    }


def _any_missing(places: Places, api: httpx.Client) -> bool:
    pools = {"name": {"any_": [places.settings.prefect.work_pool]}}
    known = {key(found) for found in prefect_api.filtered(api, "/deployments", work_pools=pools)}
    return not {key(wanted) for wanted in wanted_deployments(places)} <= known


def key(deployment: dict[str, Any]) -> tuple[str, str]:
    """What tells a deployment from the others: its flow and its name; two flows may have one of the same name."""
    return str(deployment["entrypoint"]).rpartition(".")[2], str(deployment["name"])


def start_first_run(places: Places, name: str) -> None:
    """Start a run of a deployment now, unless one lives or is about to start: what is due waits for no schedule."""
    with prefect_api.client(places) as api:
        found = api.get(f"/deployments/name/{name}")
        if found.status_code == httpx.codes.NOT_FOUND:
            return  # before the first registration, which is followed by another call
        deployment = found.raise_for_status().json()["id"]
        soon = (datetime.now(UTC) + timedelta(seconds=SOON_SECONDS)).isoformat()
        alive = prefect_api.filtered(
            api,
            "/flow_runs",
            deployments={"id": {"any_": [deployment]}},
            flow_runs={
                "state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}},
                "expected_start_time": {"before_": soon},
            },
        )
        if next(alive, None) is None:
            api.post(f"/deployments/{deployment}/create_flow_run", json={}).raise_for_status()


def _run(places: Places, command: list[str]) -> None:
    done = subprocess.run(  # noqa: S603  # nosec B603
        command,
        env={
            **environment.own(places),
            **environment.prefect_client(places, places.home / "prefect" / "registration"),
            **_said_by_settings(places),
        },
        cwd=APP_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise RegistrationError(f"`{' '.join(command[1:])}` failed: {said}")


def _recorded(api: httpx.Client) -> str | None:
    answer = api.get(f"/variables/name/{VARIABLE}")
    return str(answer.json()["value"]) if answer.is_success else None


def _record(api: httpx.Client, value: str) -> None:
    answer = api.patch(f"/variables/name/{VARIABLE}", json={"value": value})
    if answer.status_code == httpx.codes.NOT_FOUND:
        answer = api.post("/variables/", json={"name": VARIABLE, "value": value, "tags": ["vivesphere"]})
    answer.raise_for_status()
