"""What Prefect's server knows of us against files and settings: someone may have changed it in the UI."""

from collections.abc import Iterator
from typing import Any

import httpx

from config.places import Places
from deployments.local import automations, prefect_api, registration, work_pool

REGISTER = "vivesphere up --register"


def registered(places: Places) -> Iterator[tuple[str, str, str]]:
    """Name, what was found and the fix (empty where all is well), for each kind of object."""
    with prefect_api.client(places) as api:
        yield _finding("deployments", _deployments(places, api))
        yield _finding("work pool", _work_pool(places, api))
        yield _finding("block documents", _block_documents(places, api))
        yield _finding("automations", _automations(places, api))


def _finding(name: str, drifted: list[str]) -> tuple[str, str, str]:
    return name, "; ".join(drifted) or "as files and settings say", REGISTER if drifted else ""


def _deployments(places: Places, api: httpx.Client) -> list[str]:
    pool = {"name": {"any_": [places.settings.prefect.work_pool]}}
    known = {registration.key(found): found for found in prefect_api.filtered(api, "/deployments", work_pools=pool)}
    drifted = []
    for wanted in registration.wanted_deployments(places):
        found = known.get(registration.key(wanted))
        if found is None:
            drifted.append(f"{wanted['name']} of {registration.key(wanted)[0]} is missing")
            continue
        schedules = [_timing(each["schedule"]) for each in found["schedules"] if each["active"]]
        differs = [
            what
            for what, ours, theirs in (
                ("entrypoint", wanted["entrypoint"], found["entrypoint"]),
                ("queue", wanted["work_pool"]["work_queue_name"], found["work_queue_name"]),
                ("schedule", [_timing(each) for each in wanted.get("schedules", [])], schedules),
                ("concurrency limit", wanted.get("concurrency_limit"), found["concurrency_limit"]),
                ("job variables", {}, found["job_variables"]),
                ("pause", False, found["paused"]),
            )
            if ours != theirs
        ]
        drifted += [f"{wanted['name']} differs in its {what}" for what in differs]
    return drifted


def _timing(schedule: dict[str, Any]) -> tuple[Any, Any]:
    return schedule.get("cron") or schedule.get("interval"), schedule.get("timezone") or "UTC"


def _work_pool(places: Places, api: httpx.Client) -> list[str]:
    path = f"/work_pools/{places.settings.prefect.work_pool}"
    answer = api.get(path)
    if answer.status_code == httpx.codes.NOT_FOUND:
        return [f"{places.settings.prefect.work_pool} is missing"]
    pool = answer.raise_for_status().json()
    drifted = []
    if pool["base_job_template"] != work_pool.job_template(places):
        drifted.append("its job template differs")
    if pool["is_paused"]:
        drifted.append("it is paused")
    queues = {queue["name"]: queue for queue in prefect_api.filtered(api, f"{path}/queues")}
    for name, limit in work_pool.QUEUE_LIMITS.items():
        if name not in queues:
            drifted.append(f"queue {name} is missing")
        elif queues[name]["concurrency_limit"] != limit or queues[name]["is_paused"]:
            drifted.append(f"queue {name} has another limit or is paused")
    return drifted


def _block_documents(places: Places, api: httpx.Client) -> list[str]:
    # Here, because blocks import Prefect, and no other command should wait a second for that.
    from deployments.local import block_documents

    drifted = []
    for wanted in block_documents.documents(places):
        slug = type(wanted).get_block_type_slug()
        answer = api.get(f"/block_types/slug/{slug}/block_documents/name/{block_documents.DOCUMENT}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            drifted.append(f"{slug} is missing")
        else:
            data = answer.raise_for_status().json()["data"]
            fields = {name: getattr(wanted, name) for name in type(wanted).model_fields}
            drifted += [f"{slug} says another {name}" for name, value in fields.items() if data.get(name) != value]
    return drifted


def _automations(places: Places, api: httpx.Client) -> list[str]:
    drifted = []
    for wanted in automations.wanted(places, api):
        found = automations.found(api, wanted["name"])
        if found is None:
            drifted.append(f"'{wanted['name']}' is missing")
        elif not found["enabled"]:
            drifted.append(f"'{wanted['name']}' is switched off")
        elif found["trigger"]["within"] != wanted["trigger"]["within"]:
            drifted.append(f"'{wanted['name']}' waits another time")
    return drifted
