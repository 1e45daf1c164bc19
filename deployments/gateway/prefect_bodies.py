"""What may stand in the body of a request to Prefect: whatever sets job variables, environment, command or the data
of a state runs code, and is the admin's.

Everybody else's body is held against the keys of its route. A key that is not listed passes only where it is empty,
and is then left out: pages and clients send whole forms. What is passed on is written anew, so that a body has one
reading.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from deployments.gateway.paths import BLOCKS_STAY
from deployments.gateway.prefect_routes import Route
from deployments.gateway.problems import ProblemError
from tasks.operations.runs import REQUEST

BODY_BYTES_MAX = 25_000_000
KEY_CHARACTERS_SHOWN = 60
# States that a person gives a run; the others are the engine's, which does what they say.
ENDS = ("CANCELLING", "CANCELLED", "COMPLETED", "FAILED", "CRASHED")
# States that set a run going: on a paused one that is an approval, see proxy.py.
GOES_ON = ("SCHEDULED", "PENDING", "RUNNING")

Rule = Callable[[Any, str], Any]


def read(content: bytes) -> Any:
    """A JSON body; None where there is none. Raises 400."""
    if not content:
        return None
    try:
        return json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ProblemError(400, "bad-body", "the body is no JSON") from None


def write(body: Any) -> bytes:
    """A body with one reading: each key once."""
    return b"" if body is None else json.dumps(body, separators=(",", ":")).encode("ascii")


def checked(route: Route, body: Any, *, admin: bool, worker: bool) -> Any:
    """What may be passed on; raises 403 that names the key."""
    if isinstance(body, dict) and body.get("include_secrets"):
        raise ProblemError(403, "secrets-stay", BLOCKS_STAY)
    if admin or route.reads or body is None:
        return body
    rules = {**OF_PEOPLE, **OF_WORKERS} if worker else OF_PEOPLE
    rule = rules.get(route.name)
    if rule is None:
        if _empty(body):
            return None
        raise ProblemError(403, "not-allowed", "this route takes no body, save from an admin")
    return rule(body, "body")


def anything(value: Any, where: str) -> Any:
    """Any value: it changes what is shown or planned, not what runs."""
    return value


def keys(**known: Rule) -> Rule:
    """An object with these keys, each by its own rule."""

    def rule(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _refused(where, "has to be an object")
        found = {}
        for key, part in value.items():
            place = f"{where}.{key if key.isidentifier() else '?'}"[: len(where) + KEY_CHARACTERS_SHOWN]
            if key in known:
                found[key] = known[key](part, place)
            elif not _empty(part):
                raise _refused(place, "only an admin sets this")
        return found

    return rule


def each(rule: Rule) -> Rule:
    """A list of such values."""

    def of_list(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise _refused(where, "has to be a list")
        return [rule(part, f"{where}.{at}") for at, part in enumerate(value)]

    return of_list


def one_of(*wanted: str) -> Rule:
    """One of these words."""

    def rule(value: Any, where: str) -> Any:
        if value not in wanted:
            raise _refused(where, f"only an admin sets other than {', '.join(wanted)}")
        return value

    return rule


def _parameters(value: Any, where: str) -> Any:
    """Parameters carry no authority; the one that names a request of ours would lend that of who asked."""
    if isinstance(value, dict) and value.get(REQUEST):
        raise _refused(f"{where}.{REQUEST}", "`vivesphere run` writes a request and starts its run")
    return value


def without_data(event: dict[str, Any]) -> dict[str, Any]:
    """An event without the data of a state: Prefect keeps what an engine says of a task run, results included."""
    payload = event.get("payload")
    if isinstance(payload, dict):
        for name in ("validated_state", "initial_state", "state"):
            if isinstance(state := payload.get(name), dict):
                state.pop("data", None)
        if isinstance(run := payload.get("task_run"), dict):
            run.pop("state", None)
    return event


def _events(value: Any, where: str) -> Any:
    return [without_data(event) for event in each(_object)(value, where)]


def _object(value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _refused(where, "has to be an object")
    return value


def _empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_empty, value.values()))
    if isinstance(value, list):
        return all(map(_empty, value))
    return not value


def _refused(where: str, why: str) -> ProblemError:
    return ProblemError(403, "not-allowed", f"{where}: {why}")


def _no_number(name: str) -> Any:
    raise ValueError(name)


_NEW_RUN = {
    "name": anything,
    "parameters": _parameters,
    "tags": anything,
    "labels": anything,
    "idempotency_key": anything,
}
_BY_PEOPLE = keys(
    **_NEW_RUN,
    state=keys(type=one_of("SCHEDULED"), name=anything, message=anything, state_details=keys(scheduled_time=anything)),
)
_OF_ENGINE = keys(type=anything, name=anything, message=anything, state_details=anything)
_BY_WORKER = keys(**_NEW_RUN, state=_OF_ENGINE, parent_task_run_id=anything, empirical_policy=anything)
_PEOPLES_STATE = keys(state=keys(type=one_of(*ENDS, "SCHEDULED"), name=anything, message=anything), force=anything)
_ENGINES_STATE = keys(state=_OF_ENGINE, force=anything)
_SLOTS = {"names": anything, "slots": anything, "mode": anything}

OF_PEOPLE: Mapping[str, Rule] = {
    "POST /api/deployments/{id:uuid}/create_flow_run": _BY_PEOPLE,
    "POST /api/deployments/{id:uuid}/create_flow_run/bulk": each(_BY_PEOPLE),
    "POST /api/deployments/{id:uuid}/schedule": keys(
        start_time=anything, end_time=anything, min_time=anything, min_runs=anything, max_runs=anything
    ),
    "PATCH /api/deployments/{id:uuid}/schedules/{schedule_id:uuid}": keys(active=anything),
    "PUT /api/saved_searches/": keys(name=anything, filters=anything),
    "POST /api/flow_runs/{id:uuid}/set_state": _PEOPLES_STATE,
    "POST /api/task_runs/{id:uuid}/set_state": _PEOPLES_STATE,
    # Which runs a filter finds is not known here: none of them may be set going.
    "POST /api/flow_runs/bulk_set_state": keys(
        flow_runs=anything,
        state=keys(type=one_of("CANCELLING", "CANCELLED"), name=anything, message=anything),
        force=anything,
        limit=anything,
    ),
    "POST /api/flow_runs/{id:uuid}/resume": keys(run_input=anything),
    "POST /api/flow_runs/{id:uuid}/input": keys(key=anything, value=anything, sender=anything),
    "POST /api/flow_runs/{id:uuid}/input/filter": keys(prefix=anything, limit=anything, exclude_keys=anything),
}

OF_WORKERS: Mapping[str, Rule] = {
    "POST /api/deployments/{id:uuid}/create_flow_run": _BY_WORKER,
    "POST /api/deployments/{id:uuid}/create_flow_run/bulk": each(_BY_WORKER),
    "POST /api/deployments/get_scheduled_flow_runs": keys(
        deployment_ids=anything, scheduled_before=anything, limit=anything
    ),
    "POST /api/flows/": keys(name=anything, tags=anything, labels=anything),
    "POST /api/flow_runs/": keys(
        **_NEW_RUN,
        flow_id=anything,
        flow_version=anything,
        parent_task_run_id=anything,
        empirical_policy=anything,
        state=_OF_ENGINE,
    ),
    "PATCH /api/flow_runs/{id:uuid}": keys(
        name=anything, flow_version=anything, infrastructure_pid=anything, tags=anything, empirical_policy=anything
    ),
    "POST /api/flow_runs/{id:uuid}/set_state": _ENGINES_STATE,
    "PATCH /api/flow_runs/{id:uuid}/labels": anything,
    "POST /api/task_runs/": keys(
        id=anything,
        name=anything,
        flow_run_id=anything,
        task_key=anything,
        dynamic_key=anything,
        cache_key=anything,
        cache_expiration=anything,
        task_version=anything,
        empirical_policy=anything,
        tags=anything,
        labels=anything,
        task_inputs=anything,
        state=_OF_ENGINE,
    ),
    "PATCH /api/task_runs/{id:uuid}": keys(name=anything),
    "POST /api/task_runs/{id:uuid}/set_state": _ENGINES_STATE,
    "POST /api/logs/": anything,
    "POST /api/concurrency_limits/increment": keys(names=anything, task_run_id=anything),
    "POST /api/concurrency_limits/decrement": keys(names=anything, task_run_id=anything),
    "POST /api/v2/concurrency_limits/increment": keys(**_SLOTS),
    "POST /api/v2/concurrency_limits/increment-with-lease": keys(**_SLOTS, lease_duration=anything, holder=anything),
    "POST /api/v2/concurrency_limits/decrement": keys(names=anything, slots=anything, occupancy_seconds=anything),
    "POST /api/v2/concurrency_limits/decrement-with-lease": keys(lease_id=anything),
    "POST /api/v2/concurrency_limits/leases/{lease_id}/renew": keys(lease_duration=anything),
    "POST /api/work_pools/{name}/get_scheduled_flow_runs": keys(
        work_queue_names=anything, scheduled_before=anything, scheduled_after=anything, limit=anything
    ),
    "POST /api/work_pools/{work_pool_name}/workers/heartbeat": keys(name=anything, heartbeat_interval_seconds=anything),
    "POST /api/artifacts/": keys(
        key=anything,
        type=anything,
        description=anything,
        data=anything,
        metadata_=anything,
        flow_run_id=anything,
        task_run_id=anything,
    ),
    "PATCH /api/artifacts/{id:uuid}": keys(description=anything, data=anything, metadata_=anything),
    "POST /api/events": _events,
}
