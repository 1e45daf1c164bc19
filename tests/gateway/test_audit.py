"""Look, search, check and export by the API: what each role may, and that each change leaves its row with it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tasks.domain.audit_file import check_lines
from tasks.operations.sealing import Sealer
from tests.audit.conftest import OwnCornerKv, connected
from tests.gateway.conftest import Front, without_rights
from tests.makers import NOON, stored_bots
from tests.openbao_process import OpenBaoProcess
from tests.postgres_process import PostgresProcess

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
async def sealer(
    front: Front, postgres: PostgresProcess, vault: OpenBaoProcess, tmp_path: Path
) -> AsyncIterator[Sealer]:
    """One that seals what the gateway writes; the gateway finds the anchor in the same corner."""
    at = front.app.state.opening.ready.connections
    at.kv = OwnCornerKv(vault)
    async with connected(postgres, at.server, vault, at.kv, tmp_path, "vivesphere_sealer") as sealing:
        yield Sealer(sealing)


async def scheduled(front: Front, sessions: Sessions, **labels: list[str]) -> str:
    """The id of a post of a new bot."""
    async with sessions.begin() as session:
        await stored_bots(session, 1, **labels)
    at = NOON.replace(year=2040).isoformat()
    answer = await front.call("POST", "/posts", json=[{"bot": "bot_0", "text": "Words to hide", "due_at": at}])
    return str(answer.json()[0]["post_id"])


@pytest.mark.promise("A3")
async def test_a_change_has_its_row_with_who_what_and_values_but_no_text(front: Front, sessions: Sessions) -> None:
    post_id = await scheduled(front, sessions)
    await front.call("POST", f"/posts/{post_id}/cancel")
    page = (await front.call("GET", "/audit", params={"subject": post_id})).json()
    cancelled, made = page["rows"]
    assert (made["action"], made["actor"], made["actor_kind"], made["bot"]) == (
        "posts.schedule",
        "admin/cli",
        "key",
        "bot_0",
    )
    assert (made["before"], made["after"]["bot"], made["after"]["source"]) == (None, "bot_0", "api")
    assert (cancelled["action"], cancelled["before"], cancelled["after"]) == (
        "posts.cancel",
        {"status": "scheduled", "revision": 1},
        {"status": "cancelled", "revision": 2},
    )
    assert "Words to hide" not in json.dumps(page)


@pytest.mark.promise("A3")
async def test_a_change_that_cannot_be_audited_does_not_happen(
    front: Front, sessions: Sessions, postgres: PostgresProcess
) -> None:
    post_id = await scheduled(front, sessions)
    async with sessions.begin() as session:
        database = (await session.execute(text("SELECT current_database()"))).scalar_one()
    with psycopg.connect(postgres.conninfo(database, "vivesphere_owner")) as owner:
        owner.execute("REVOKE INSERT ON audit_log FROM vivesphere_app")
    assert (await front.call("POST", f"/posts/{post_id}/cancel")).status_code == 500
    assert (await front.call("GET", f"/posts/{post_id}")).json()["status"] == "scheduled"


async def test_rows_are_found_by_page_by_filter_and_by_word(front: Front, sessions: Sessions) -> None:
    post_id = await scheduled(front, sessions)
    await front.call("POST", f"/posts/{post_id}/cancel")
    first = (await front.call("GET", "/audit", params={"limit": 1})).json()
    second = (await front.call("GET", "/audit", params={"limit": 1, "before": first["next"]})).json()
    assert [page["rows"][0]["action"] for page in (first, second)] == ["posts.cancel", "posts.schedule"]

    async def actions(**wanted: str) -> list[str]:
        return [row["action"] for row in (await front.call("GET", "/audit", params=wanted)).json()["rows"]]

    assert await actions(action="posts.*") == ["posts.cancel", "posts.schedule"]
    assert await actions(action="posts.cancel", bot="@BOT_0", actor="admin*") == ["posts.cancel"]
    assert await actions(text=post_id.upper()) == ["posts.cancel", "posts.schedule"]
    assert await actions(text="100%") == []
    assert await actions(since="2200-01-01T00:00:00Z") == []


@pytest.mark.promise("A2")
async def test_a_label_sees_its_own_rows_and_cannot_verify_or_export(front: Front, sessions: Sessions) -> None:
    await scheduled(front, sessions, labels=["weather"])
    async with sessions.begin() as session:
        await session.execute(text("UPDATE role_bindings SET role = 'operator', label = 'weather'"))
    assert [row["action"] for row in (await front.call("GET", "/audit")).json()["rows"]] == ["posts.schedule"]
    assert (await front.call("GET", "/audit/verify")).status_code == 403
    assert (await front.call("GET", "/audit/export")).status_code == 403
    async with sessions.begin() as session:
        await session.execute(text("UPDATE role_bindings SET label = 'transit'"))
    assert (await front.call("GET", "/audit")).json() == {"rows": [], "next": None}
    nobody = await without_rights(front, sessions)
    assert (await nobody.get("/api/v1/audit")).status_code == 403


@pytest.mark.promise("P7")
async def test_an_edited_row_is_named_and_an_export_can_be_checked_by_itself(
    front: Front, sessions: Sessions, sealer: Sealer, postgres: PostgresProcess
) -> None:
    post_id = await scheduled(front, sessions)
    await sealer.seal_all()
    await front.call("POST", f"/posts/{post_id}/cancel")
    whole = (await front.call("GET", "/audit/verify")).json()
    assert (whole["findings"], whole["said"]) == ([], "anchored to seal 1; 1 newer row rests on grants only")
    exported = (await front.call("GET", "/audit/export")).text.splitlines()
    report = check_lines(exported)
    assert (report.findings, report.rows, report.newer, report.key) == ((), whole["rows"], 1, whole["key"])

    at = front.app.state.opening.ready.connections
    with psycopg.connect(postgres.conninfo(at.server.database, "vivesphere_owner")) as owner:
        owner.execute("UPDATE audit_log SET subject = 'another' WHERE action = 'posts.schedule'")
    [found] = (await front.call("GET", "/audit/verify")).json()["findings"]
    assert found["kind"] == "edited"
    [again] = check_lines((await front.call("GET", "/audit/export")).text.splitlines()).findings
    assert again.row_id == found["row_id"]


async def test_an_export_of_a_label_or_a_day_still_proves_its_rows(
    front: Front, sessions: Sessions, sealer: Sealer
) -> None:
    post_id = await scheduled(front, sessions, labels=["weather"])
    await sealer.seal_all()
    await front.call("POST", f"/posts/{post_id}/cancel")
    await sealer.seal_all()

    async def exported(**wanted: str) -> list[str]:
        return (await front.call("GET", "/audit/export", params=wanted)).text.splitlines()

    def rows(lines: list[str]) -> list[str]:
        return [json.loads(line)["row"]["action"] for line in lines if '"row": {' in line]

    labelled = await exported(label="weather")
    assert rows(labelled) == ["posts.schedule", "posts.cancel"]
    assert check_lines(labelled).findings == ()
    changed = [line.replace("posts.cancel", "posts.schedule") for line in labelled]
    assert [found.kind for found in check_lines(changed).findings] == ["edited"]
    assert rows(await exported(label="transit")) == []
    assert check_lines(await exported(label="transit")).findings == ()
    assert check_lines(await exported(since="2200-01-01T00:00:00Z")).findings == ()
    assert check_lines(await exported(until="2000-01-01T00:00:00Z")).findings == ()
    assert [found.kind for found in check_lines(labelled[:-1]).findings] == ["unreadable"]
    assert [found.kind for found in check_lines(["{}", "no json"]).findings] == ["unreadable"] * 3
    first_day = await exported(since="2000-01-01T00:00:00Z", until="2200-01-01T00:00:00Z")
    assert check_lines(first_day).findings == ()


async def test_a_seal_that_was_kept_elsewhere_must_still_be_there(
    front: Front, sessions: Sessions, sealer: Sealer
) -> None:
    await scheduled(front, sessions)
    await sealer.seal_all()
    exported = (await front.call("GET", "/audit/export")).text.splitlines()

    async def kinds(number: int, digest: str) -> list[str]:
        kept = {"kept_number": number, "kept_digest": digest}
        report = (await front.call("GET", "/audit/verify", params=kept)).json()
        offline = check_lines(exported, (number, bytes.fromhex(digest))).findings
        assert [found.kind for found in offline] == [found["kind"] for found in report["findings"]]
        return [found["kind"] for found in report["findings"]]

    assert await kinds(1, "00" * 32) == ["rewritten"]
    assert await kinds(2, "00" * 32) == ["cut"]
