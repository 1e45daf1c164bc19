"""Automations on Prefect's server, upserted by name; schedules stand in prefect.yaml, triggers here."""

from typing import Any

import httpx

from config.places import Places
from deployments.local import prefect_api

ZOMBIES = "vivesphere: crash silent runs"
CRASHED = "vivesphere: look for posts of a crashed run"
POSTING_FLOW = "publish-due-posts"
RECONCILING = "reconcile-unknown-posts/every-minute"
FAILED = "vivesphere: tell of a failed run"
ALARM = "vivesphere: tell of alarms"
TELLING_FLOW = "notify-operators"
TELLING = f"{TELLING_FLOW}/on-alarm"
# A deployment that fails each minute starts the run that tells of it once in this time.
TELL_AGAIN_SECONDS = 300


def wanted(places: Places, api: httpx.Client) -> list[dict[str, Any]]:
    """Every automation of ours; one that starts a deployment is left out until the server has it."""
    found = [_crash_silent_runs(places)]
    if (reconciling := _deployment(api, RECONCILING)) is not None:
        found.append(_look_after_a_crash(reconciling))
    if (telling := _deployment(api, TELLING)) is not None:
        found += [_tell_of_a_failed_run(places, api, telling), _tell_of_alarms(telling)]
    return found


def ensure(places: Places, api: httpx.Client) -> None:
    """Create the missing ones and bring the others to what stands here; a person's own automations are not touched."""
    for automation in wanted(places, api):
        known = found(api, automation["name"])
        if known is None:
            api.post("/automations/", json=automation).raise_for_status()
        else:
            api.put(f"/automations/{known['id']}", json=automation).raise_for_status()


def found(api: httpx.Client, name: str) -> dict[str, Any] | None:
    """The automation of this name on the server."""
    answer = api.post("/automations/filter", json={"automations": {"name": {"any_": [name]}}})
    matches: list[dict[str, Any]] = answer.raise_for_status().json()
    return matches[0] if matches else None


def _deployment(api: httpx.Client, name: str) -> str | None:
    answer = api.get(f"/deployments/name/{name}")
    return None if answer.is_error else str(answer.json()["id"])


def _crash_silent_runs(places: Places) -> dict[str, Any]:
    """Where run and worker die together, nobody tells the server; only the missing heartbeat does.

    The server itself says that a run is Running; a run killed in its first moments never got its own heartbeat out.
    It may fire on a run shorter than a heartbeat; the state change is then refused, and nothing happens.
    """
    ends = [f"prefect.flow-run.{end}" for end in ("heartbeat", "Completed", "Failed", "Cancelled", "Crashed")]
    return {
        "name": ZOMBIES,
        "description": "A run that sent no heartbeat in time lost its process and its worker; it is set to Crashed.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "after": ["prefect.flow-run.Running", "prefect.flow-run.heartbeat"],
            "expect": ends,
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": places.settings.prefect.silent_seconds,
        },
        "actions": [
            {"type": "change-flow-run-state", "state": "CRASHED", "name": "Crashed", "message": "no heartbeat in time"}
        ],
    }


def _look_after_a_crash(deployment_id: str) -> dict[str, Any]:
    """What a crashed run left behind is looked for at once, and not at the next half minute."""
    return {
        "name": CRASHED,
        "description": "A posting run crashed: what it had sent without an answer is looked for on X.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {"prefect.resource.role": "flow", "prefect.resource.name": POSTING_FLOW},
            "after": [],
            "expect": ["prefect.flow-run.Crashed"],
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": 0,
        },
        "actions": [_run(deployment_id, {})],
    }


def _tell_of_a_failed_run(places: Places, api: httpx.Client, deployment_id: str) -> dict[str, Any]:
    """For every flow on our work pool but the one that tells: its own failure would start it again and again."""
    pools = {"name": {"any_": [places.settings.prefect.work_pool]}}
    flows = [flow["name"] for flow in prefect_api.filtered(api, "/flows", work_pools=pools)]
    run = {"__prefect_kind": "jinja", "template": "{{ event.resource.id | replace('prefect.flow-run.', '') }}"}
    return {
        "name": FAILED,
        "description": "A run failed or crashed: operators are told, by the channels of `vivesphere notify channels`.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {
                "prefect.resource.role": "flow",
                "prefect.resource.name": sorted(set(flows) - {TELLING_FLOW}),
            },
            "after": [],
            "expect": ["prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"],
            "for_each": ["related:deployment:prefect.resource.id"],
            "threshold": 1,
            "within": TELL_AGAIN_SECONDS,
        },
        "actions": [_run(deployment_id, {"about": "run", "failed_run_id": run})],
    }


def _tell_of_alarms(deployment_id: str) -> dict[str, Any]:
    """The clerk says that something is wrong; what it is, the run finds out itself."""
    return {
        "name": ALARM,
        "description": "Posts are late or held, a credential nears its end, a breaker is open: operators are told.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": "vivesphere.alarms"},
            "match_related": {},
            "after": [],
            "expect": ["vivesphere.alarm"],
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": 0,
        },
        "actions": [_run(deployment_id, {"about": "alarms"})],
    }


def _run(deployment_id: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "run-deployment", "source": "selected", "deployment_id": deployment_id, "parameters": parameters}
