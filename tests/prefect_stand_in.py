"""A stand-in for Prefect's server: the few routes that we use, with its shapes, on a real socket."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi import FastAPI, HTTPException, Request

from config.places import Places
from tests.waiting import until


class PrefectStandIn:
    """Deployments to choose from, and the runs that were asked for; a run ends in `ends_as` when it is looked at."""

    def __init__(self, auth: str = "admin:planted-prefect-secret") -> None:
        self.auth = auth
        self.ends_as = "COMPLETED"
        self.runs: dict[str, dict[str, Any]] = {}
        names = ("publish-due-posts", "onboard-bots", "notify-operators")
        self.flows = {name: str(uuid4()) for name in names}
        self.deployments = [
            self._deployment("publish-due-posts", "every-minute", []),
            self._deployment("onboard-bots", "on-demand", ["run_request_id"]),
            self._deployment("notify-operators", "on-alarm", ["about", "failed_run_id", "run_request_id"]),
        ]

    def _deployment(self, flow: str, name: str, parameters: list[str]) -> dict[str, Any]:
        return {
            "id": str(uuid4()),
            "flow_id": self.flows[flow],
            "name": name,
            "work_pool_name": "vivesphere",
            "parameter_openapi_schema": {"properties": {parameter: {} for parameter in parameters}},
        }

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.middleware("http")
        async def signed(request: Request, following: Any) -> Any:
            wanted = f"Basic {base64.b64encode(self.auth.encode()).decode()}"
            if request.headers.get("Authorization") != wanted:
                from starlette.responses import Response

                return Response(status_code=401)
            return await following(request)

        @app.post("/api/deployments/filter")
        async def deployments(body: dict[str, Any]) -> list[dict[str, Any]]:
            pools = body["work_pools"]["name"]["any_"]
            names = body.get("flows", {}).get("name", {}).get("any_")
            flows = {self.flows[name] for name in names if name in self.flows} if names else set(self.flows.values())
            return [one for one in self.deployments if one["work_pool_name"] in pools and one["flow_id"] in flows]

        @app.post("/api/flows/filter")
        async def flows(body: dict[str, Any]) -> list[dict[str, Any]]:
            wanted = body["flows"]["id"]["any_"]
            return [{"id": flow_id, "name": name} for name, flow_id in self.flows.items() if flow_id in wanted]

        @app.post("/api/deployments/{deployment_id}/create_flow_run")
        async def create(deployment_id: str, body: dict[str, Any]) -> dict[str, Any]:
            same = [run for run in self.runs.values() if run["idempotency_key"] == body["idempotency_key"]]
            if same:
                return same[0]
            run = {
                "id": str(uuid4()),
                "name": "brave-otter",
                "deployment_id": deployment_id,
                "state_type": "SCHEDULED",
                "state": {"message": None},
                "expected_start_time": "2026-11-23T12:00:00Z",
                "start_time": None,
                "end_time": None,
                **body,
            }
            self.runs[run["id"]] = run
            return run

        @app.get("/api/flow_runs/{run_id}")
        async def run(run_id: str) -> dict[str, Any]:
            if run_id not in self.runs:
                raise HTTPException(404)
            self.runs[run_id]["state_type"] = self.ends_as
            return self.runs[run_id]

        @app.post("/api/flow_runs/filter")
        async def recent(body: dict[str, Any]) -> list[dict[str, Any]]:
            wanted = body.get("deployments", {}).get("id", {}).get("any_")
            ids = body.get("flow_runs", {}).get("id", {}).get("any_")
            ended = body.get("flow_runs", {}).get("end_time", {}).get("after_")
            types = body.get("flow_runs", {}).get("state", {}).get("type", {}).get("any_")
            but = body.get("flow_runs", {}).get("id", {}).get("not_any_", ())
            before = body.get("flow_runs", {}).get("start_time", {}).get("before_")
            found = [
                run
                for run in self.runs.values()
                if (wanted is None or run["deployment_id"] in wanted)
                and (ids is None or run["id"] in ids)
                and run["id"] not in but
                and (ended is None or (run["end_time"] or "") >= ended)
                and (types is None or run["state_type"] in types)
                and (before is None or (run["start_time"] or "") <= before)
            ]
            return sorted(found, key=lambda run: run["start_time"] or "", reverse=True)[: body.get("limit", 200)]

        @app.post("/api/flow_runs/count")
        async def count(body: dict[str, Any]) -> int:
            names = [name.upper() for name in body["flow_runs"]["state"]["name"]["any_"]]
            return sum(run["state_type"] in names for run in self.runs.values())

        @app.post("/api/work_pools/{pool}/workers/filter")
        async def workers(pool: str) -> list[dict[str, Any]]:
            return [{"name": "one", "status": "ONLINE"}, {"name": "other", "status": "OFFLINE"}]

        return app

    @asynccontextmanager
    async def running(self, places: Places) -> AsyncIterator["PrefectStandIn"]:
        """Serve at the address of the settings, with the auth string in the file that they name."""
        file = places.prefect_auth
        assert file is not None
        file.write_text(self.auth, encoding="utf-8")
        async with listening(self.app(), places.settings.prefect.port or 0):
            yield self


@asynccontextmanager
async def listening(app: FastAPI, port: int, **tls: str) -> AsyncIterator[None]:
    """Serve an application on a loopback port, in this loop; by TLS where uvicorn is given its files."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False, lifespan="on", **tls)  # type: ignore[arg-type]
    )
    # The runner of the tests keeps its own signal handlers.
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    serving = asyncio.create_task(server._serve())
    try:
        await until(lambda: server.started or serving.done())
        yield
    finally:
        server.should_exit = True
        await serving
