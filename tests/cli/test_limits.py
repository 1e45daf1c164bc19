"""`vivesphere stop | stops | resume | breakers | spend`, and what scheduling says of money."""

from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from config import loading
from tests.cli.conftest import Terminal
from tests.makers import stored_app, stored_bots, stored_posts
from tests.postgres_process import PostgresProcess

Sessions = async_sessionmaker[AsyncSession]


async def test_a_stop_is_set_shown_and_lifted_after_saying_what_becomes_of_posts(
    stack: Terminal, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        [bot] = await stored_bots(session)
        await stored_posts(session, bot, 3, due_in_seconds=-5)
    assert (await stack("stop", "--reason", "fire", "--bot", "@bot_0")).code == 0
    shown = await stack("stops", "list")
    assert "@bot_0" in shown.out
    assert "fire" in shown.out
    refused = await stack("resume", stdin="n\n")
    assert refused.code == 1
    assert "3 would go out, 0 are too late and expire" in refused.out
    assert "nothing is stopped" not in (await stack("stops", "list")).err
    assert (await stack("resume", "--yes")).code == 0
    assert "nothing is stopped" in (await stack("stops", "list")).err


async def test_a_stop_for_two_things_at_once_is_a_mistake(cli: Terminal) -> None:
    ended = await cli("stop", "--reason", "x", "--bot", "a", "--label", "b")
    assert (ended.code, "say one of" in ended.err) == (2, True)


@pytest.mark.promise("P4")
async def test_without_a_gateway_the_database_itself_is_told(
    cli: Terminal, sessions: Sessions, postgres: PostgresProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with sessions() as session:
        database = (await session.execute(text("SELECT current_database()"))).scalar_one()
    password = tmp_path / "admin.password"
    password.write_text(postgres.password, encoding="utf-8")
    for name, value in {
        "POSTGRES__ADDRESS": f"{postgres.host}:{postgres.port}",
        "POSTGRES__DATABASE": database,
        "POSTGRES__TLS": "disable",
        "POSTGRES__ADMIN_PASSWORD_FILE": str(password),
        "VAULT__ADDRESS": "https://127.0.0.1:1",
        "X__BASE_URL": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(f"VIVESPHERE_{name}", value)
    loading.load.cache_clear()
    ended = await cli("stop", "--reason", "fire")
    assert ended.code == 0, ended.err
    assert "stopping in the database itself" in ended.err
    async with sessions() as session:
        row = (await session.execute(text("SELECT scope, reason, created_by FROM stops"))).one()
    assert (row.scope, row.reason) == ("fleet", "fire")
    assert row.created_by.endswith(" on the host")


async def test_scheduling_says_what_it_costs_and_the_month_says_so_too(stack: Terminal, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        app = await stored_app(session, name="city")
        await stored_bots(session, x_app_id=app)
    said = await stack("posts", "schedule", "--bot", "bot_0", "--text", "See https://example.org", "--at", "+1m")
    assert "cost on X: 0.200 USD" in said.out
    assert "13 times dearer" in said.err
    assert (await stack("apps", "budget", "city", "--usd", "5")).code == 0
    spent = await stack("spend", "--by", "app")
    assert "city" in spent.out
    assert "0.20" in spent.out
    assert (await stack("apps", "budget", "nothing", "--usd", "5")).code == 1
    assert (await stack("spend", "--by", "colour")).code == 2


async def test_a_breaker_is_shown_and_closed_with_a_reason(stack: Terminal, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await stored_bots(session)
        await session.execute(
            text("INSERT INTO breakers (bot_id, cause, evidence) SELECT id, 'suspended', 'X says so' FROM bots")
        )
        breaker = (await session.execute(text("SELECT id FROM breakers"))).scalar_one()
    shown = await stack("breakers", "list")
    assert "@bot_0" in shown.out
    assert "X says so" in shown.out
    assert (await stack("breakers", "close", breaker, "--reason", "appealed")).code == 0
    assert "X says yes" in (await stack("breakers", "list")).out
    assert (await stack("breakers", "close", uuid4(), "--reason", "appealed")).code == 1
    async with sessions() as session:
        found = await session.execute(
            text("SELECT details ->> 'reason' FROM audit_log WHERE action = 'breakers.close'")
        )
        assert found.scalar_one() == "appealed"
