"""Automations on Prefect's server, upserted by name; schedules stand in prefect.yaml, triggers here."""

from typing import Any

import httpx

from config.places import Places

ZOMBIES = "vivesphere: crash silent runs"
CRASHED = "vivesphere: look for posts of a crashed run"
POSTING_FLOW = "publish-due-posts"
RECONCILING = "reconcile-unknown-posts/every-minute"


def wanted(places: Places, api: httpx.Client) -> list[dict[str, Any]]:
    """Every automation of ours; one that starts a deployment is left out until the server has it."""
    deployment = api.get(f"/deployments/name/{RECONCILING}")
    started = [] if deployment.is_error else [_look_after_a_crash(deployment.json()["id"])]
    return [_crash_silent_runs(places), *started]


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
        "actions": [{"type": "run-deployment", "source": "selected", "deployment_id": deployment_id, "parameters": {}}],
    }
