"""Runs over the API, with a stand-in for Prefect's server."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.gateway.conftest import Front
from tests.prefect_stand_in import PrefectStandIn

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
async def prefect(front: Front) -> AsyncIterator[PrefectStandIn]:
    async with PrefectStandIn().running(front.places) as server:
        yield server


async def test_a_run_is_written_down_and_gets_the_rows_id_alone(
    front: Front, prefect: PrefectStandIn, sessions: Sessions
) -> None:
    wanted = {"deployment": "onboard-bots/on-demand", "arguments": {"handles": ["one"]}}
    answer = await front.call("POST", "/runs", json=wanted)
    assert answer.status_code == 202
    started = answer.json()
    assert answer.headers["location"] == started["address"] == f"/api/v1/runs/{started['flow_run_id']}"
    assert started["page"].endswith(f"/runs/flow-run/{started['flow_run_id']}")
    [run] = prefect.runs.values()
    assert run["parameters"] == {"run_request_id": started["request_id"]}
    assert run["idempotency_key"] == started["request_id"]
    async with sessions.begin() as session:
        row = (await session.execute(text("SELECT * FROM run_requests"))).one()
    assert (str(row.id), row.deployment, row.arguments) == (
        started["request_id"],
        wanted["deployment"],
        wanted["arguments"],
    )
    assert (row.requested_by, str(row.flow_run_id)) == ("admin/cli", started["flow_run_id"])
    looked = await front.call("GET", f"/runs/{started['flow_run_id']}")
    assert looked.json()["state"] == "completed"
    assert [found["id"] for found in (await front.call("GET", "/runs")).json()] == [started["flow_run_id"]]


async def test_a_flow_that_takes_no_arguments_gets_none(front: Front, prefect: PrefectStandIn) -> None:
    assert (await front.call("POST", "/runs", json={"deployment": "publish-due-posts"})).status_code == 202
    assert [run["parameters"] for run in prefect.runs.values()] == [{}]
    answer = await front.call("POST", "/runs", json={"deployment": "publish-due-posts", "arguments": {"x": 1}})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:vivesphere:problem:no-arguments")


async def test_only_deployments_of_our_pool_can_be_started(front: Front, prefect: PrefectStandIn) -> None:
    for deployment in prefect.deployments:
        deployment["work_pool_name"] = "somebody-elses"
    answer = await front.call("POST", "/runs", json={"deployment": "publish-due-posts"})
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:vivesphere:problem:no-such-deployment")


async def test_a_flow_with_several_deployments_asks_which(front: Front, prefect: PrefectStandIn) -> None:
    prefect.deployments.append({**prefect.deployments[0], "id": str(uuid4()), "name": "by-hand"})
    answer = await front.call("POST", "/runs", json={"deployment": "publish-due-posts"})
    assert "publish-due-posts/by-hand, publish-due-posts/every-minute" in answer.json()["detail"]


async def test_prefect_away_or_restarted_is_said(front: Front, prefect: PrefectStandIn) -> None:
    assert (await front.call("GET", f"/runs/{uuid4()}")).json()["type"] == "urn:vivesphere:problem:no-such-run"
    auth = front.places.prefect_auth
    assert auth is not None
    auth.write_text("admin:old", encoding="utf-8")
    refused = await front.call("POST", "/runs", json={"deployment": "publish-due-posts"})
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:vivesphere:problem:prefect-away")
    # The string is read again at each use.
    auth.write_text(prefect.auth, encoding="utf-8")
    assert (await front.call("POST", "/runs", json={"deployment": "publish-due-posts"})).status_code == 202


async def test_without_a_server_the_answer_is_503(front: Front) -> None:
    answer = await front.call("POST", "/runs", json={"deployment": "publish-due-posts"})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:vivesphere:problem:prefect-away")
