"""The program as a whole: what it imports, what it says when nothing answers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from deployments.cli.main import COMMANDS, load
from tests.cli.conftest import Terminal
from tests.postgres_process import free_port
from tests.prefect_stand_in import PrefectStandIn

HEAVY = {"prefect", "sqlalchemy", "pandas", "hvac", "httpx", "fastapi"}


def test_help_waits_for_no_heavy_import() -> None:
    code = (
        "import sys\nfrom deployments.cli.main import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "posts" in done.stdout
    assert not HEAVY & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_page_says_what_the_command_says(name: str) -> None:
    command = load(name)
    assert command.name == name
    assert COMMANDS[name][1] == (command.help or "").split("\n\n")[0]


async def test_a_stack_that_was_never_started_is_said(cli: Terminal, tmp_path: Path) -> None:
    ended = await cli("bots", "list")
    assert (ended.code, ended.err) == (
        1,
        f"there is no key in {tmp_path}/secrets/cli.key: `vivesphere up` makes it\n",
    )


async def test_a_stack_that_is_down_is_said_in_one_line(
    cli: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from config import loading

    port = free_port()
    monkeypatch.setenv("VIVESPHERE_GATEWAY__PORT", str(port))
    loading.load.cache_clear()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "cli.key").write_text("id:secret", encoding="utf-8")
    ended = await cli("posts", "counts")
    assert (ended.code, ended.err) == (
        1,
        f"the gateway does not answer at http://127.0.0.1:{port}: start the stack with `vivesphere up`\n",
    )


async def test_a_key_that_opens_nothing_ends_with_three(stack: Terminal, tmp_path: Path) -> None:
    (tmp_path / "secrets" / "cli.key").write_text("no:key", encoding="utf-8")
    ended = await stack("bots", "list")
    assert ended.code == 3
    assert "the API key is unknown, revoked or expired" in ended.err


async def test_a_lost_role_ends_with_three(stack: Terminal, sessions: async_sessionmaker[AsyncSession]) -> None:
    async with sessions.begin() as session:
        await session.execute(text("DELETE FROM role_bindings"))
    ended = await stack("bots", "list")
    assert (ended.code, ended.err) == (3, "admin/cli lacks the permission bots.read\n")


async def test_a_run_starts_by_the_name_of_its_flow_and_is_waited_for(stack: Terminal, prefect: PrefectStandIn) -> None:
    ended = await stack("run", "publish-due-posts", "--wait")
    assert (ended.code, ended.out.splitlines()[1]) == (0, "brave-otter: completed")
    prefect.ends_as = "CRASHED"
    assert (await stack("run", "publish-due-posts/every-minute", "--wait")).code == 1
    unknown = await stack("run", "nothing")
    assert (unknown.code, unknown.err) == (
        1,
        "there is no deployment 'nothing'; there are: notify-operators/on-alarm, onboard-bots/on-demand,"
        " publish-due-posts/every-minute\n",
    )
    assert (await stack("run", "publish-due-posts", "--arguments", '{"window": 1}')).code == 2
    assert (await stack("run", "publish-due-posts", "--arguments", "window")).code == 2


async def test_settings_are_shown_with_their_origin(cli: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    from config import loading

    monkeypatch.setenv("VIVESPHERE_POSTING__BATCH", "7")
    loading.load.cache_clear()
    rows = {row["setting"]: row for row in json.loads((await cli("config", "show", "--json")).out)}
    assert (rows["posting.batch"]["value"], rows["posting.batch"]["where"]) == (
        7,
        "environment VIVESPHERE_POSTING__BATCH",
    )
    assert (rows["posting.lanes"]["origin"], rows["posting.lanes"]["mark"]) == ("default", "tuning")
    monkeypatch.setenv("VIVESPHERE_POSTING__BATCH", "0")
    monkeypatch.setenv("VIVESPHERE_POSTNG__BATCH", "1")
    loading.load.cache_clear()
    ended = await cli("config", "show")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 2


async def test_the_version_is_told(cli: Terminal) -> None:
    assert (await cli("--version")).out.startswith("vivesphere ")
