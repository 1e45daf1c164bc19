"""Prefect's REST API as far as we use it: find a deployment, start a run, look at runs, tell of events.

PrefectError        retryable
├─ PrefectAway        yes    no answer, 5xx or 429: nothing is known about what was asked
├─ PrefectDenied      yes    401 and 403: the auth string is new at each `up`, and was read too early
└─ PrefectRefused     no     any other 4xx
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx

from config.places import Places

TIMEOUT_SECONDS = 10.0


class PrefectError(Exception):
    """Prefect's server did not do what it was asked; the text never holds what was sent."""

    retryable = True


class PrefectAway(PrefectError):
    """The server does not answer, or not with an answer."""


class PrefectDenied(PrefectError):
    """The server does not take our auth string."""


class PrefectRefused(PrefectError):
    """The server understood and said no."""

    retryable = False


@dataclass(frozen=True)
class Deployment:
    """What can be started; `name` is `flow/deployment`, `parameters` are the names that its flow takes."""

    id: UUID
    name: str
    parameters: frozenset[str]


@dataclass(frozen=True)
class FlowRun:
    """A run; `state` is Prefect's type in lower case, such as scheduled, running or completed."""

    id: UUID
    name: str
    deployment_id: UUID | None
    state: str
    message: str | None
    expected_start_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    page: str


class PrefectApi:
    """The server at the address of the settings; use as an async context manager."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def deployments(self, flow: str | None = None) -> Sequence[Deployment]:
        """Deployments on our work pool, of one flow or of all, by name; another pool's are not ours to start."""
        wanted: dict[str, Any] = {"work_pools": {"name": {"any_": [self._places.settings.prefect.work_pool]}}}
        if flow is not None:
            wanted["flows"] = {"name": {"any_": [flow]}}
        found = await self._ask("POST", "/deployments/filter", wanted)
        names = await self._flow_names({deployment["flow_id"] for deployment in found})
        return sorted(
            (
                Deployment(
                    UUID(deployment["id"]),
                    f"{names[deployment['flow_id']]}/{deployment['name']}",
                    frozenset((deployment.get("parameter_openapi_schema") or {}).get("properties", {})),
                )
                for deployment in found
            ),
            key=lambda deployment: deployment.name,
        )

    async def start(self, deployment_id: UUID, parameters: Mapping[str, Any], idempotency_key: str) -> FlowRun:
        """Create a flow run; with the same key a second time it is the same run."""
        body = {"parameters": dict(parameters), "idempotency_key": idempotency_key}
        return self._run(await self._ask("POST", f"/deployments/{deployment_id}/create_flow_run", body))

    async def run(self, run_id: UUID) -> FlowRun | None:
        """One run, or None."""
        found = await self._ask("GET", f"/flow_runs/{run_id}", missing_is_none=True)
        return self._run(found) if found is not None else None

    async def recent(
        self,
        deployment_id: UUID | None,
        limit: int,
        before: datetime | None = None,
        but: Sequence[UUID] = (),
    ) -> Sequence[FlowRun]:
        """Runs on our work pool that have started, the latest first: not after the instant `before`, and none of
        those in `but`."""
        runs: dict[str, Any] = {"start_time": {"is_null_": False}}
        if before is not None:
            runs["start_time"]["before_"] = before.isoformat()
        if but:
            runs["id"] = {"not_any_": [str(run_id) for run_id in but]}
        wanted: dict[str, Any] = {
            "work_pools": {"name": {"any_": [self._places.settings.prefect.work_pool]}},
            "flow_runs": runs,
            "sort": "START_TIME_DESC",
            "limit": limit,
        }
        if deployment_id is not None:
            wanted["deployments"] = {"id": {"any_": [str(deployment_id)]}}
        return [self._run(run) for run in await self._ask("POST", "/flow_runs/filter", wanted)]

    async def runs(self, run_ids: Sequence[UUID]) -> Sequence[FlowRun]:
        """These runs, as far as there are such, in this order."""
        if not run_ids:
            return []
        wanted = {"flow_runs": {"id": {"any_": [str(run_id) for run_id in run_ids]}}, "limit": len(run_ids)}
        found = {run.id: run for run in map(self._run, await self._ask("POST", "/flow_runs/filter", wanted))}
        return [found[run_id] for run_id in run_ids if run_id in found]

    async def ended(self, since: datetime, limit: int) -> Sequence[FlowRun]:
        """Runs on our work pool that ended after an instant, the latest first."""
        return await self._latest_ended({"end_time": {"after_": since.isoformat()}}, limit)

    async def last_completed(self, deployment_id: UUID) -> FlowRun | None:
        """The run of a deployment that completed last."""
        completed = {"state": {"type": {"any_": ["COMPLETED"]}}}
        found = await self._latest_ended(completed, 1, deployments={"id": {"any_": [str(deployment_id)]}})
        return found[0] if found else None

    async def _latest_ended(self, flow_runs: Mapping[str, Any], limit: int, **criteria: Any) -> Sequence[FlowRun]:
        wanted = {**self._of_our_pool(), **criteria, "flow_runs": flow_runs, "sort": "END_TIME_DESC", "limit": limit}
        return [self._run(run) for run in await self._ask("POST", "/flow_runs/filter", wanted)]

    async def count(self, state: str) -> int:
        """Runs on our work pool that are in a state of this name, such as Running or Late."""
        wanted = {**self._of_our_pool(), "flow_runs": {"state": {"name": {"any_": [state]}}}}
        return int(await self._ask("POST", "/flow_runs/count", wanted))

    async def workers_online(self) -> int:
        """Workers of our work pool whose heartbeat the server has heard lately."""
        pool = self._places.settings.prefect.work_pool
        workers = await self._ask("POST", f"/work_pools/{pool}/workers/filter", {})
        return sum(worker["status"] == "ONLINE" for worker in workers)

    def _of_our_pool(self) -> dict[str, Any]:
        return {"work_pools": {"name": {"any_": [self._places.settings.prefect.work_pool]}}}

    async def emit(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Tell the server of events, as its own API writes them; one whose id it knows is told once."""
        await self._ask("POST", "/events", list(events))

    async def _flow_names(self, flow_ids: set[str]) -> Mapping[str, str]:
        if not flow_ids:
            return {}
        found = await self._ask("POST", "/flows/filter", {"flows": {"id": {"any_": sorted(flow_ids)}}})
        return {flow["id"]: flow["name"] for flow in found}

    async def _ask(self, method: str, path: str, body: Any = None, missing_is_none: bool = False) -> Any:
        asked = f"{method} {path}"
        try:
            answer = await self._client.request(
                method, f"{self._places.prefect}{path}", json=body, headers=self._headers()
            )
        except (OSError, httpx.HTTPError) as error:
            raise PrefectAway(f"the Prefect server does not answer ({type(error).__name__})") from None
        if answer.status_code == httpx.codes.NOT_FOUND and missing_is_none:
            return None
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise PrefectDenied("the Prefect server does not take our auth string")
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise PrefectAway(f"the Prefect server answered {asked} with {answer.status_code}")
        if answer.is_error:
            raise PrefectRefused(f"the Prefect server answered {asked} with {answer.status_code}")
        return answer.json() if answer.content else None

    def _headers(self) -> Mapping[str, str]:
        """Read anew at each request: the embedded server has another auth string after each `up`."""
        path = self._places.prefect_auth
        if path is None:
            return {}
        auth = path.read_text(encoding="utf-8").strip()
        return {"Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}"}

    def _run(self, found: Mapping[str, Any]) -> FlowRun:
        state = found.get("state") or {}
        return FlowRun(
            UUID(found["id"]),
            found["name"],
            UUID(found["deployment_id"]) if found.get("deployment_id") else None,
            str(found.get("state_type") or "pending").lower(),
            state.get("message"),
            _instant(found.get("expected_start_time")),
            _instant(found.get("start_time")),
            _instant(found.get("end_time")),
            f"{self._places.prefect_pages}/runs/flow-run/{found['id']}",
        )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
