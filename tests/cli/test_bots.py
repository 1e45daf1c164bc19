"""Bots from files into the database, from the command line."""

import asyncio
import json
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.cli.conftest import Terminal, bot_file
from tests.prefect_stand_in import PrefectStandIn
from tests.waiting import until


async def test_an_import_shows_its_diff_and_the_second_one_changes_nothing(stack: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "bots"
    bot_file(folder)
    bot_file(folder, "tram_times")
    looked = await stack("bots", "import", folder, "--dry-run")
    assert (looked.code, looked.out) == (0, "+ @city_weather new\n+ @tram_times new\n")
    assert (await stack("bots", "list", "--json")).out == "[]\n"
    first = await stack("bots", "import", folder, "--yes", "--no-connect")
    assert first.code == 0
    second = await stack("bots", "import", folder, "--no-connect")
    assert (second.code, second.out) == (0, "= @city_weather unchanged\n= @tram_times unchanged\n")
    bot_file(folder, labels="[weather, city]")
    third = await stack("bots", "import", folder, "--no-connect", "--yes")
    assert "labels: weather -> weather, city" in third.out
    shown = json.loads((await stack("bots", "show", "@City_Weather", "--json")).out)
    assert (shown["labels"], shown["state"], shown["revision"]) == (["weather", "city"], "needs_login", 2)


async def test_an_import_asks_first_and_needs_yes_where_nobody_can_answer(stack: Terminal, tmp_path: Path) -> None:
    bot_file(tmp_path / "bots")
    ended = await stack("bots", "import", tmp_path / "bots")
    assert (ended.code, ended.err) == (2, "nobody is there to be asked: say --yes to import, or --dry-run to look\n")
    assert (await stack("bots", "list", "--json")).out == "[]\n"


async def test_every_problem_of_every_file_is_named_with_its_line(cli: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "bots"
    one = bot_file(folder, "one", time_zone="Europe/Wien", colour="blue", description=None)
    two = bot_file(folder, "two", persona="{name: Desk, tone: plain, interests: [x], languages: [en, english]}")
    three = bot_file(folder, "three", posts_per_day_max=0)
    broken = folder / "zz.yaml"
    broken.write_text("handle: [", encoding="utf-8")
    ended = await cli("bots", "import", folder)
    assert ended.code == 2
    assert ended.err.splitlines() == [
        f"{one}:1: description: is missing; add it",
        f"{one}:4: time_zone: write a time zone of the IANA list, such as Europe/Vienna",
        f"{one}:8: colour: there is no such field; remove it",
        f"{three}:9: posts_per_day_max: input should be greater than or equal to 1",
        f"{two}:8: persona.languages.1: write a language tag such as en or pt-BR",
        f"{broken}:1: expected the node content, but found '<stream end>'",
    ]


async def test_one_handle_in_two_files_names_both(cli: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "bots"
    one = bot_file(folder, "one")
    two = bot_file(
        folder, "two", handle="ONE", persona="{name: Voice of one, tone: loud, interests: [x], languages: [en]}"
    )
    ended = await cli("bots", "import", folder)
    assert ended.err.splitlines() == [
        f"{two}:1: handle: @ONE stands in {one}:1 too; remove one",
        f"{two}:8: persona.name: 'Voice of one' is written differently in {one}:8; give one another name",
    ]


async def test_an_empty_folder_says_what_is_expected(cli: Terminal, tmp_path: Path) -> None:
    ended = await cli("bots", "import", tmp_path)
    assert (ended.code, ended.err) == (
        2,
        f"{tmp_path}: there are no bot files here; write one, such as {tmp_path}/city_weather.yaml\n",
    )


async def test_an_import_starts_the_run_that_connects_and_tells_when_a_person_is_needed(
    stack: Terminal, prefect: PrefectStandIn, tmp_path: Path
) -> None:
    bot_file(tmp_path / "bots")
    ended = await stack("bots", "import", tmp_path / "bots", "--yes", "--wait")
    assert ended.code == 4
    assert "@city_weather is needs_login: its owner opens `vivesphere bots login city_weather`" in ended.out
    [run] = prefect.runs.values()
    assert list(run["parameters"]) == ["run_request_id"]


async def test_a_login_without_an_app_says_what_is_missing(stack: Terminal, tmp_path: Path) -> None:
    bot_file(tmp_path / "bots")
    await stack("bots", "import", tmp_path / "bots", "--yes", "--no-connect")
    ended = await stack("bots", "login", "city_weather")
    assert ended.code == 4
    assert "add one with `vivesphere apps add`" in ended.err


async def test_an_app_takes_its_secret_from_the_standard_input_and_a_login_gives_a_link(
    stack: Terminal, tmp_path: Path
) -> None:
    add = ("apps", "add", "--name", "main", "--use-case", "service bots", "--client-id", "abc")
    assert (await stack(*add)).err == "no client secret on the standard input: pipe it in, or say --public\n"
    added = await stack(*add, stdin="planted-client-secret\n")
    assert (added.code, "planted" in added.out) == (0, False)
    assert "/oauth/callback" in added.out
    listed = await stack("apps", "list", "--json")
    assert (json.loads(listed.out)[0]["client_id"], "planted" in listed.out) == ("abc", False)
    bot_file(tmp_path / "bots")
    await stack("bots", "import", tmp_path / "bots", "--yes", "--no-connect")
    link = json.loads((await stack("bots", "login", "city_weather", "--json")).out)
    assert "code_challenge_method=S256" in link["url"]


async def test_a_second_production_app_for_a_use_case_is_refused(stack: Terminal) -> None:
    for name, code in (("one", 0), ("two", 1)):
        ended = await stack(
            "apps", "add", "--name", name, "--use-case", "Weather", "--client-id", name, "--production", "--public"
        )
        assert ended.code == code
    assert "X allows one app for each use case" in ended.err


async def test_personas_come_in_with_their_bots(stack: Terminal, tmp_path: Path) -> None:
    bot_file(tmp_path / "bots")
    await stack("bots", "import", tmp_path / "bots", "--yes", "--no-connect")
    assert "Voice of city_weather" in (await stack("personas", "list")).out


async def test_twenty_owners_are_waited_for_and_each_is_told_of(
    stack: Terminal, tmp_path: Path, sessions: async_sessionmaker[AsyncSession]
) -> None:
    await stack("apps", "add", "--name", "main", "--use-case", "Service", "--client-id", "id", "--public")
    handles = [f"bot_{number:02}" for number in range(20)]
    for handle in handles:
        bot_file(tmp_path / "bots", handle, app="main")
    await stack("bots", "import", tmp_path / "bots", "--no-connect", "--yes")

    async def come_back() -> bool:
        async with sessions.begin() as session:
            made = await session.scalar(text("SELECT count(*) FROM connect_links"))
            if made == len(handles):
                await session.execute(text("UPDATE bots SET state = 'active' WHERE handle LIKE 'bot_%'"))
        return made == len(handles)

    ended, _ = await asyncio.gather(stack("bots", "reconnect", "--all"), until(come_back))
    assert ended.code == 0
    links = [line for line in ended.out.splitlines() if "/connect?link=" in line]
    assert [line.split()[0] for line in links] == [f"@{handle}" for handle in handles]
    told = [line for line in ended.out.splitlines() if "is connected" in line]
    assert told[-1] == "@bot_19 is connected, 0 to go"
    assert len(told) == len(handles)
    assert (await stack("bots", "reconnect", "--all")).out == "no bot needs a login\n"
    unknown = await stack("bots", "reconnect", "@nobody", "bot_00", "--no-wait")
    assert (unknown.code, unknown.out.split()[0]) == (4, "@bot_00")
    assert "@nobody: there is no bot @nobody" in unknown.err
