"""The matrix: every route, every role, every scope; and that a label bounds what is seen, changed and started."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.domain.roles import RIGHTS, Actor, Grant, Role
from tasks.operations import onboarding
from tasks.store import run_requests
from tests.gateway.conftest import Front, a_key
from tests.gateway.test_sign_in import every_route
from tests.makers import a_bot, a_draft, a_persona
from tests.prefect_stand_in import PrefectStandIn

Sessions = async_sessionmaker[AsyncSession]
ROLES = get_args(Role)
OURS, THEIRS = "weather", "transit"
# Asked for by the operation, which alone knows whether a change is one of policy.
ASKED_WITHIN = {"settings.policy"}


@dataclass(frozen=True)
class Two:
    """A bot of each label, each with a post."""

    post_ids: dict[str, str]


def handle(label: str) -> str:
    return f"{label}_bot"


@pytest.fixture
async def two(front: Front, sessions: Sessions) -> Two:
    bots = [
        a_bot(handle(label), labels=(label,), persona=a_persona(name=label)).model_dump(mode="json")
        for label in (OURS, THEIRS)
    ]
    (await front.call("POST", "/bots/import", json=bots)).raise_for_status()
    async with sessions.begin() as session:
        await session.execute(text("UPDATE bots SET state = 'active', bio_names_operator = true"))
        instant = (await session.execute(text("SELECT app_now() + interval '1 hour'"))).scalar_one()
    drafts = [a_draft(bot=handle(label), due_at=instant).model_dump(mode="json") for label in (OURS, THEIRS)]
    receipts = (await front.call("POST", "/posts", json=drafts)).json()
    assert [receipt["result"] for receipt in receipts] == ["scheduled", "scheduled"]
    return Two({label: receipt["post_id"] for label, receipt in zip((OURS, THEIRS), receipts, strict=True)})


@pytest.fixture
async def prefect(front: Front) -> AsyncIterator[PrefectStandIn]:
    async with PrefectStandIn().running(front.places) as server:
        yield server


async def ask(front: Front, key: dict[str, str], method: str, path: str, **what: Any) -> Any:
    return await front.anybody.request(method, f"/api/v1{path}", headers=key, **what)


@pytest.mark.promise("A1")
@pytest.mark.promise("A2")
@pytest.mark.parametrize("scope", [None, OURS], ids=["everything", "a label"])
@pytest.mark.parametrize("role", ROLES)
async def test_every_route_lets_in_whom_the_table_lets_in_and_nobody_else(
    front: Front, prefect: PrefectStandIn, role: Role, scope: str | None
) -> None:
    key = await a_key(front, "somebody", (role, scope))
    actor = Actor("somebody", "user", frozenset({Grant(role, scope)}))
    token = key["Authorization"].removeprefix("Bearer ")
    tried = 0
    for method, path, needed in every_route():
        if not needed or not path.startswith("/api/v1"):
            continue
        # Bodies are left out and ids are made up: whoever is let in is told so by 404 or 422.
        filled = path.format(
            handle="nobody", post_id=uuid4(), run_id=uuid4(), username="nobody", key_id=uuid4(), **_others(path)
        )
        answer = await front.anybody.request(method, filled, headers=key, params={"token": token})
        expected = all(actor.may(permission) for permission in needed)
        assert (method, path, answer.status_code != 403) == (method, path, expected), answer.text
        assert answer.status_code != 401
        tried += 1
    assert tried >= 25


def _others(path: str) -> dict[str, str]:
    """A made-up value for every other place in a path."""
    names = set(re.findall(r"\{(\w+)\}", path))
    return {name: str(uuid4()) for name in names - {"handle", "post_id", "run_id", "username", "key_id"}}


@pytest.mark.promise("A2")
async def test_lists_and_counts_hold_only_what_bears_the_label(front: Front, two: Two) -> None:
    key = await a_key(front, "anna", ("viewer", OURS))
    assert [bot["handle"] for bot in (await ask(front, key, "GET", "/bots")).json()] == [handle(OURS)]
    assert (await ask(front, key, "GET", "/bots", params={"label": THEIRS})).json() == []
    assert [persona["name"] for persona in (await ask(front, key, "GET", "/personas")).json()] == [OURS]
    assert (await ask(front, key, "GET", "/posts/counts")).json() == {"scheduled": 1}
    # Bounded before the page is cut: a page of one holds the one there is, and says that there is no other.
    page = (await ask(front, key, "GET", "/posts", params={"limit": 1})).json()
    assert ([post["id"] for post in page["posts"]], page["next"]) == ([two.post_ids[OURS]], None)
    assert (await ask(front, key, "GET", "/posts", params={"bot": handle(THEIRS)})).json()["posts"] == []


@pytest.mark.promise("A2")
async def test_what_bears_another_label_is_as_if_it_were_not_there(front: Front, two: Two) -> None:
    key = await a_key(front, "anna", ("operator", OURS))
    for label, status in ((OURS, 200), (THEIRS, 404)):
        post = two.post_ids[label]
        assert (await ask(front, key, "GET", f"/bots/{handle(label)}")).status_code == status
        assert (await ask(front, key, "GET", f"/posts/{post}")).status_code == status
        assert (await ask(front, key, "POST", f"/posts/{post}/cancel")).status_code == status
    # It has no app to sign in through, but who may not see it does not learn that.
    assert (await ask(front, key, "POST", f"/bots/{handle(OURS)}/login")).status_code == 409
    assert (await ask(front, key, "POST", f"/bots/{handle(THEIRS)}/login")).status_code == 404
    shown = (await front.call("GET", f"/posts/{two.post_ids[THEIRS]}")).json()
    assert shown["status"] == "scheduled"


@pytest.mark.promise("A2")
async def test_a_draft_for_a_bot_of_another_label_is_refused_and_the_others_stand(front: Front, two: Two) -> None:
    key = await a_key(front, "anna", ("operator", OURS))
    shown = (await front.call("GET", f"/posts/{two.post_ids[OURS]}")).json()
    drafts = [a_draft(bot=handle(label), due_at=shown["due_at"]).model_dump(mode="json") for label in (OURS, THEIRS)]
    receipts = (await ask(front, key, "POST", "/posts", json=drafts)).json()
    assert [receipt["result"] for receipt in receipts] == ["scheduled", "refused"]
    assert receipts[1]["reasons"][0].startswith("unknown-bot")


@pytest.mark.promise("A2")
async def test_an_import_within_a_label_reaches_no_further(front: Front, two: Two) -> None:
    key = await a_key(front, "anna", ("operator", OURS))
    wanted = [
        # Its own bot, changed.
        a_bot(handle(OURS), labels=(OURS,), persona=a_persona(name=OURS), posts_per_day_max=7),
        # Another's bot, taken over.
        a_bot(handle(THEIRS), labels=(OURS,), persona=a_persona(name=THEIRS)),
        # A new bot beyond the label, and one that gives a label away.
        a_bot("new_1", labels=(THEIRS,), persona=a_persona(name="new 1")),
        a_bot("new_2", labels=(OURS, THEIRS), persona=a_persona(name="new 2")),
        a_bot("new_3", labels=(), persona=a_persona(name="new 3")),
        a_bot("new_4", labels=(OURS,), persona=a_persona(name="new 4")),
    ]
    files = [bot.model_dump(mode="json") for bot in wanted]
    changes = (await ask(front, key, "POST", "/bots/import", json=files)).json()
    assert [change["change"] for change in changes] == ["changed", "refused", "refused", "refused", "refused", "new"]
    # Another's persona, rewritten by way of an own bot.
    stolen = a_bot("new_5", labels=(OURS,), persona=a_persona(name=THEIRS, tone="rude"))
    [change] = (await ask(front, key, "POST", "/bots/import", json=[stolen.model_dump(mode="json")])).json()
    assert change["change"] == "refused" and THEIRS in change["reason"]
    personas = {one["name"]: one["tone"] for one in (await front.call("GET", "/personas")).json()}
    assert personas[THEIRS] == "plain"
    found = {bot["handle"]: bot["labels"] for bot in (await front.call("GET", "/bots")).json()}
    assert found == {handle(OURS): [OURS], handle(THEIRS): [THEIRS], "new_4": [OURS]}


@pytest.mark.promise("A2")
async def test_a_run_works_within_the_labels_of_who_asked_for_it(
    front: Front, two: Two, prefect: PrefectStandIn, sessions: Sessions
) -> None:
    key = await a_key(front, "anna", ("operator", OURS))
    both = {"handles": [handle(OURS), handle(THEIRS)]}
    started = (await ask(front, key, "POST", "/runs", json={"deployment": "onboard-bots", "arguments": both})).json()
    async with sessions.begin() as session:
        await session.execute(text("UPDATE bots SET state = 'needs_login'"))
    at = front.app.state.opening.ready.connections
    request, run = UUID(started["request_id"]), UUID(started["flow_run_id"])
    # Twice: a run is taken up again after a crash.
    for _ in range(2):
        assert await onboarding.waiting(at, request, run) == [handle(OURS)]
    # Another's request, and one that nobody wrote down, are nobody's.
    assert await onboarding.waiting(at, request, uuid4()) == []
    assert await onboarding.waiting(at, uuid4(), run) == []
    assert len(await onboarding.waiting(at, None, run)) == 2


@pytest.mark.promise("A2")
async def test_a_request_is_served_by_one_run_of_the_flow_that_it_names(
    front: Front, two: Two, sessions: Sessions
) -> None:
    at, run = front.app.state.opening.ready.connections, uuid4()
    async with sessions.begin() as session:
        await session.execute(text("UPDATE bots SET state = 'needs_login'"))
        # The run may begin before the gateway has noted which it is.
        request = await run_requests.add(session, "onboard-bots/on-demand", {}, "anna", [OURS])
        elsewhere = await run_requests.add(session, "rotate-credentials/daily", {}, "anna", None)
    assert await onboarding.waiting(at, elsewhere, run) == []
    assert await onboarding.waiting(at, request, run) == [handle(OURS)]
    async with sessions.begin() as session:
        await run_requests.served(session, request, uuid4())
    assert await onboarding.waiting(at, request, run) == [handle(OURS)]


@pytest.mark.promise("A2")
async def test_runs_are_started_and_seen_within_the_label(
    front: Front, prefect: PrefectStandIn, sessions: Sessions
) -> None:
    key, other = await a_key(front, "anna", ("operator", OURS)), await a_key(front, "berta", ("operator", THEIRS))
    fleet_wide = await ask(front, key, "POST", "/runs", json={"deployment": "publish-due-posts"})
    assert (fleet_wide.status_code, fleet_wide.json()["type"]) == (403, "urn:vivesphere:problem:not-allowed")
    started = [
        (await ask(front, who, "POST", "/runs", json={"deployment": "onboard-bots"})).json() for who in (key, other)
    ]
    whole = (await front.call("POST", "/runs", json={"deployment": "onboard-bots"})).json()
    for run in prefect.runs.values():
        run["start_time"] = "2026-11-23T12:00:00Z"
    async with sessions.begin() as session:
        rows = await session.execute(text("SELECT labels FROM run_requests ORDER BY requested_at"))
        assert [row.labels for row in rows] == [[OURS], [THEIRS], None]
    for who, mine in ((key, started[0]), (other, started[1])):
        for params in ({}, {"deployment": "onboard-bots"}, {"limit": 1}):
            seen = (await ask(front, who, "GET", "/runs", params=params)).json()
            assert [run["id"] for run in seen] == [mine["flow_run_id"]]
        for run in (*started, whole):
            status = 200 if run is mine else 404
            assert (await ask(front, who, "GET", f"/runs/{run['flow_run_id']}")).status_code == status
    assert len((await front.call("GET", "/runs")).json()) == 3


@pytest.mark.promise("A2")
async def test_a_role_over_everything_and_one_for_a_label_add_up(front: Front, two: Two) -> None:
    key = await a_key(front, "anna", ("viewer", None), ("operator", OURS))
    assert len((await ask(front, key, "GET", "/bots")).json()) == 2
    for label, status in ((OURS, 200), (THEIRS, 404)):
        assert (await ask(front, key, "POST", f"/posts/{two.post_ids[label]}/cancel")).status_code == status


def test_the_matrix_has_a_route_for_every_permission_of_ours() -> None:
    named = {permission for _, _, needed in every_route() for permission in needed}
    ours = {permission for permission in RIGHTS if not permission.startswith("prefect.")}
    assert named | ASKED_WITHIN == ours
