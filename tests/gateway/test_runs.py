"""Runs over the API, with a stand-in for Prefect's server."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.gateway.conftest import Front, a_key
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


async def read_in_parts(front: Front, path: str) -> list[str]:
    """The ids of a whole list, as its Link headers lead through it."""
    seen: list[str] = []
    while path:
        answer = await front.call("GET", path)
        assert answer.status_code == 200, answer.text
        seen += [one["id"] for one in answer.json()]
        path = answer.links["next"]["url"].removeprefix("/api/v1") if "next" in answer.links else ""
    return seen


async def test_runs_are_read_to_the_end_while_more_start(front: Front, prefect: PrefectStandIn) -> None:
    for number in range(11):
        await front.call("POST", "/runs", json={"deployment": "publish-due-posts"})
        # Some have started in the same instant, at the seams of the parts.
        list(prefect.runs.values())[-1]["start_time"] = f"2026-11-23T12:00:0{number // 4}.000001+00:00"
    wanted = sorted(prefect.runs)
    first = await front.call("GET", "/runs?limit=3")
    await front.call("POST", "/runs", json={"deployment": "publish-due-posts"})
    list(prefect.runs.values())[-1]["start_time"] = "2026-11-23T13:00:00+00:00"
    rest = await read_in_parts(front, first.links["next"]["url"].removeprefix("/api/v1"))
    assert sorted([*(run["id"] for run in first.json()), *rest]) == wanted


async def test_runs_within_a_label_are_read_to_the_end_though_prefect_forgot_some(
    front: Front, prefect: PrefectStandIn
) -> None:
    key = await a_key(front, "anna", ("operator", "vienna"))
    asked = [
        (await front.anybody.post("/api/v1/runs", json={"deployment": "onboard-bots"}, headers=key)).json()
        for _ in range(5)
    ]
    ids = [run["flow_run_id"] for run in reversed(asked)]
    for forgotten in ids[:2]:
        del prefect.runs[forgotten]
    front.admin.headers.update(key)
    assert await read_in_parts(front, "/runs?limit=2") == ids[2:]


@pytest.mark.parametrize("cursor", ["x", "W10", "WyJ4Il0", "WyIiLCJ4Il0"])
async def test_what_is_no_cursor_is_refused(front: Front, prefect: PrefectStandIn, cursor: str) -> None:
    for path in ("/runs", "/media"):
        answer = await front.call("GET", path, params={"cursor": cursor})
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:vivesphere:problem:invalid-request")


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
